// What the rule allows, and what it leaves to everybody else.
function decide(user, id, details) {
    var action = { id: id, lookup: function (key) { return details[key]; } };
    return rules[0](action, { user: user });
}

var UNITS = "org.freedesktop.systemd1.manage-units";
var cases = [
    ["yes", "swarm-agent", UNITS, { unit: "docker.service", verb: "restart" }],
    ["yes", "swarm-agent", UNITS, { unit: "docker.service", verb: "reset-failed" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "stop" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "start" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "kill" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "set-property" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.socket", verb: "restart" }],
    ["not handled", "swarm-agent", UNITS, { unit: "ssh.service", verb: "restart" }],
    ["not handled", "swarm-agent", UNITS, {}],
    ["not handled", "swarm-agent", "org.freedesktop.systemd1.reload-daemon", {}],
    ["not handled", "swarm-agent", "org.freedesktop.systemd1.manage-unit-files", { unit: "docker.service", verb: "restart" }],
    ["not handled", "swarm-discovery", UNITS, { unit: "docker.service", verb: "restart" }],
    ["not handled", "nobody", UNITS, { unit: "docker.service", verb: "restart" }]
];

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
