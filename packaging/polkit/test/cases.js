// What the rule allows, and what it leaves to everybody else.
var cases = [
    ["yes", "swarm-agent", UNITS, { unit: "docker.service", verb: "restart" }],
    ["yes", "swarm-agent", UNITS, { unit: "docker.service", verb: "reset-failed" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "stop" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "start" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "kill" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.service", verb: "set-property" }],
    ["not handled", "swarm-agent", UNITS, { unit: "docker.socket", verb: "restart" }],
    ["not handled", "swarm-agent", UNITS, { unit: "ssh.service", verb: "restart" }],
    ["yes", "swarm-agent", UNITS, { unit: "swarm-agent-evidence.service", verb: "start" }],
    ["yes", "swarm-agent", UNITS, { unit: "swarm-agent-lossless.service", verb: "start" }],
    ["not handled", "swarm-agent", UNITS, { unit: "swarm-agent-lossless.service", verb: "stop" }],
    ["not handled", "swarm-agent", UNITS, { unit: "swarm-agent-evidence.service", verb: "stop" }],
    ["not handled", "swarm-agent", UNITS, { unit: "swarm-agent-evidence.service", verb: "set-property" }],
    ["not handled", "swarm-agent", UNITS, { unit: "containerd.service", verb: "restart" }],
    ["not handled", "nobody", UNITS, { unit: "swarm-agent-evidence.service", verb: "start" }],
    ["not handled", "swarm-agent", UNITS, {}],
    ["not handled", "swarm-agent", "org.freedesktop.systemd1.reload-daemon", {}],
    ["not handled", "swarm-agent", "org.freedesktop.systemd1.manage-unit-files", { unit: "docker.service", verb: "restart" }],
    ["not handled", "swarm-discovery", UNITS, { unit: "docker.service", verb: "restart" }],
    ["not handled", "nobody", UNITS, { unit: "docker.service", verb: "restart" }]
];
check(cases);
