//! Which containers a restart of the engine could end, from what is seen of them without the engine.
//!
//! Each source may miss some: scopes are there only with systemd's cgroup driver, shims are seen only by whoever sees the
//! processes of others, and what the engine said last may be old. A source that would show each container settles it;
//! otherwise the highest count does, and where nothing would show them the count is not known.

use crate::model::{EngineInfo, Risk, Sighting};

/// `last` is what the engine said last, in this boot or before.
pub fn assess(sighting: &Sighting, last: Option<&EngineInfo>) -> Risk {
    let scopes = sighting.scopes.as_ref().map(Vec::len);
    let shims = sighting.shims.as_ref().map(Vec::len);
    let all_have_scopes = last.and_then(|last| last.scopes) == Some(true);
    let told = last.map(|last| usize::try_from(last.containers_running).unwrap_or(usize::MAX));
    let containers = match (scopes, shims) {
        (Some(count), _) if all_have_scopes => Some(count),
        (scopes, Some(shims)) => Some(shims.max(scopes.unwrap_or(0))),
        (Some(0), None) => told,
        (Some(count), None) => Some(told.map_or(count, |told| told.max(count))),
        (None, None) => told.filter(|count| *count > 0),
    };
    Risk { containers, live_restore: last.and_then(|last| last.live_restore) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(scopes: Option<usize>, shims: Option<usize>) -> Sighting {
        let ids = |count: usize| (0..count).map(|id| id.to_string()).collect();
        Sighting { scopes: scopes.map(ids), shims: shims.map(ids) }
    }

    fn last(containers_running: u32, scopes: Option<bool>) -> EngineInfo {
        EngineInfo { containers_running, scopes, live_restore: Some(false), ..EngineInfo::default() }
    }

    fn count(sighting: &Sighting, last: Option<&EngineInfo>) -> Option<usize> {
        assess(sighting, last).containers
    }

    #[test]
    fn whoever_would_see_all_of_them_has_the_last_word() {
        let (with_scopes, without) = (last(3, Some(true)), last(3, Some(false)));
        for (scopes, shims, last, containers) in [
            // those that came and went since the last answer
            (Some(0), None, Some(&with_scopes), Some(0)),
            (Some(5), None, Some(&with_scopes), Some(5)),
            (Some(0), None, Some(&without), Some(3)),
            (Some(4), None, Some(&without), Some(4)),
            (Some(0), Some(0), Some(&without), Some(0)),
            (Some(0), Some(2), None, Some(2)),
            (Some(2), Some(0), None, Some(2)),
            (Some(2), None, None, Some(2)),
            // nobody would have shown them
            (Some(0), None, None, None),
            (None, None, None, None),
            // the bus is away
            (None, None, Some(&with_scopes), Some(3)),
            (None, None, Some(&last(0, Some(true))), None),
            (None, Some(0), None, Some(0)),
        ] {
            assert_eq!(count(&seen(scopes, shims), last), containers, "{scopes:?} {shims:?} {last:?}");
        }
    }

    #[test]
    fn only_the_engine_tells_whether_containers_outlive_it() {
        assert_eq!(assess(&seen(Some(1), None), None).live_restore, None);
        assert_eq!(assess(&seen(Some(1), None), Some(&last(1, None))).live_restore, Some(false));
    }

    proptest! {
        /// What is seen is never left out.
        #[test]
        fn the_count_is_never_less_than_what_is_seen(
            scopes in proptest::option::of(0..4_usize), shims in proptest::option::of(0..4_usize),
            told in proptest::option::of((0..4_u32, proptest::option::of(any::<bool>()))),
        ) {
            let last = told.map(|(count, scopes)| last(count, scopes));
            let counted = count(&seen(scopes, shims), last.as_ref());
            let settled = scopes.is_some() && last.as_ref().and_then(|last| last.scopes) == Some(true);
            let least = scopes.unwrap_or(0).max(if settled { 0 } else { shims.unwrap_or(0) });
            prop_assert!(counted.is_none_or(|count| count >= least), "{counted:?} < {least}");
        }
    }
}
