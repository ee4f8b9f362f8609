//! Sets of CPUs as people write them.

/// A mask as systemd's `CPUAffinity` has it (bit n of byte m is CPU 8m+n) in the form `0-3,8`; empty for none.
pub fn from_mask(mask: &[u8]) -> String {
    let set = |cpu: usize| mask[cpu / 8] & (1 << (cpu % 8)) != 0;
    let cpus: Vec<usize> = (0..mask.len() * 8).filter(|cpu| set(*cpu)).collect();
    let runs = cpus.chunk_by(|a, b| a + 1 == *b);
    let words: Vec<String> = runs
        .map(|run| match run {
            [only] => only.to_string(),
            _ => format!("{}-{}", run[0], run[run.len() - 1]),
        })
        .collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_become_ranges() {
        for (mask, text) in [
            (&[][..], ""),
            (&[0, 0], ""),
            (&[0b1], "0"),
            (&[0b1111], "0-3"),
            (&[0b1101], "0,2-3"),
            (&[0b1000_0000, 0b11], "7-9"),
            (&[0b1, 0, 0b1], "0,16"),
        ] {
            assert_eq!(from_mask(mask), text, "{mask:?}");
        }
    }
}
