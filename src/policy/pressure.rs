//! Whether a machine is too short of something for an engine to answer: what the kernel says in `/proc/pressure`.
//!
//! Each file has lines like `some avg10=0.12 avg60=0.30 avg300=0.11 total=123456`: the share of time, in percent, in which
//! some, or all (`full`), of the processes waited for that resource.

/// In percent, over ten seconds. A machine that is merely busy stays below.
const CPU_SOME: f64 = 90.0;
const MEMORY_FULL: f64 = 20.0;
const IO_FULL: f64 = 60.0;

/// The three files, as far as they can be read: a kernel may be built, or booted, without them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pressure {
    pub cpu: Option<String>,
    pub memory: Option<String>,
    pub io: Option<String>,
}

/// What the machine is short of, in words; nothing if it is not, or that can't be known.
pub fn starvation(pressure: &Pressure) -> Option<String> {
    let looks = [
        (&pressure.cpu, "some", CPU_SOME, "CPU"),
        (&pressure.memory, "full", MEMORY_FULL, "memory"),
        (&pressure.io, "full", IO_FULL, "disks"),
    ];
    looks.into_iter().find_map(|(text, line, limit, what)| {
        let share = avg10(text.as_deref()?, line).filter(|share| *share >= limit)?;
        Some(format!("processes waited for {what} in {share:.0} % of the last 10 s"))
    })
}

fn avg10(text: &str, line: &str) -> Option<f64> {
    let fields = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '))?;
    let share = fields.split(' ').find_map(|field| field.strip_prefix("avg10="))?;
    share.parse().ok().filter(|share| (0.0..=100.0).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressure(some: &str, full: &str) -> String {
        format!("some avg10={some} avg60=1.00 avg300=2.00 total=5\nfull avg10={full} avg60=0.00 avg300=0.00 total=0\n")
    }

    #[test]
    fn a_machine_that_is_busy_is_not_starved() {
        let busy = || Some(pressure("89.99", "19.99"));
        assert_eq!(starvation(&Pressure { cpu: busy(), memory: busy(), io: busy() }), None);
        assert_eq!(starvation(&Pressure::default()), None);
        // all may wait for CPU only on other kernels
        assert_eq!(starvation(&Pressure { cpu: Some(pressure("0.00", "99.00")), ..Pressure::default() }), None);
    }

    #[test]
    fn what_a_machine_is_short_of_is_named() {
        let cpu = Pressure { cpu: Some(pressure("97.40", "0.00")), ..Pressure::default() };
        assert_eq!(starvation(&cpu).as_deref(), Some("processes waited for CPU in 97 % of the last 10 s"));
        let memory = Pressure { memory: Some(pressure("60.00", "20.00")), ..Pressure::default() };
        assert_eq!(starvation(&memory).as_deref(), Some("processes waited for memory in 20 % of the last 10 s"));
        let io = Pressure { io: Some(pressure("99.00", "61.00")), ..Pressure::default() };
        assert_eq!(starvation(&io).as_deref(), Some("processes waited for disks in 61 % of the last 10 s"));
    }

    #[test]
    fn what_makes_no_sense_proves_nothing() {
        for text in
            ["", "some", "some avg10=", "some avg10=NaN", "some avg10=900.00", "someavg10=99", "some avg60=99.00"]
        {
            let all = || Some(format!("{text}\n{}", text.replace("some", "full")));
            assert_eq!(starvation(&Pressure { cpu: all(), memory: all(), io: all() }), None, "{text}");
        }
    }
}
