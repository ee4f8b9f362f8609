// As much of polkit as a rule needs. Files given to duk(1) share one heap:
//   duk test/polkit.js 50-swarm-agent.rules test/cases.js
var rules = [];
var polkit = {
    Result: { YES: "yes", NO: "no", NOT_HANDLED: "not handled" },
    addRule: function (rule) { rules.push(rule); }
};
