// What the rule for containerd allows, and what it leaves to everybody else.
var cases = [
    ["yes", "swarm-agent", UNITS, { unit: "containerd.service", verb: "restart" }],
    ["yes", "swarm-agent", UNITS, { unit: "containerd.service", verb: "reset-failed" }],
    ["not handled", "swarm-agent", UNITS, { unit: "containerd.service", verb: "stop" }],
    ["not handled", "swarm-agent", UNITS, { unit: "containerd.service", verb: "start" }],
    ["not handled", "swarm-agent", UNITS, { unit: "containerd.service", verb: "kill" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "restart" }],
    ["not handled", "swarm-agent", "org.freedesktop.systemd1.reload-daemon", {}],
    ["not handled", "nobody", UNITS, { unit: "containerd.service", verb: "restart" }]
];
check(cases);
