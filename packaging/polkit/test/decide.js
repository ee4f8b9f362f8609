// What both rules are asked with.
function decide(user, id, details) {
    var action = { id: id, lookup: function (key) { return details[key]; } };
    return rules[0](action, { user: user });
}

var UNITS = "org.freedesktop.systemd1.manage-units";

function check(cases) {
    if (rules.length !== 1) {
        throw new Error("expected one rule, found " + rules.length);
    }
    cases.forEach(function (c) {
        var got = decide(c[1], c[2], c[3]);
        if (got !== c[0]) {
            throw new Error("expected " + c[0] + ", got " + got + " for " + JSON.stringify(c.slice(1)));
        }
    });
    print("polkit rule: " + cases.length + " cases hold");
}
