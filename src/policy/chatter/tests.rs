use super::*;
use proptest::prelude::*;

const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
const HOUR: Duration = Duration::from_secs(3600);

fn at(seconds: u64) -> Moment {
    Moment::after_origin(Duration::from_secs(seconds))
}

/// What a bucket is for, said without one: with this entry, no stretch of time that ends now has more than the burst and
/// what was refilled meanwhile.
fn fits(said: &[Moment], now: Moment, burst: u32, refill: Duration) -> bool {
    said.iter().enumerate().all(|(index, begin)| {
        let with_this = u128::try_from(said.len() - index + 1).unwrap();
        let refilled = now.since(*begin).as_nanos() / refill.as_nanos();
        with_this <= u128::from(burst) + refilled
    })
}

/// Kinds, and the seconds before each.
fn entries() -> impl Strategy<Value = Vec<(usize, u64)>> {
    let pause = prop_oneof![8 => 0..3_u64, 4 => 0..60_u64, 1 => 0..2000_u64];
    (1..=NAMES.len()).prop_flat_map(move |kinds| prop::collection::vec((0..kinds, pause.clone()), 0..400))
}

proptest! {
    #[test]
    fn says_what_fits_its_kind_and_all_together_and_nothing_else(entries in entries()) {
        let (mut chatter, mut now) = (Chatter::default(), Moment::default());
        let (mut all, mut by_kind) = (Vec::new(), vec![Vec::new(); NAMES.len()]);
        for (kind, pause) in entries {
            now = now + Duration::from_secs(pause);
            let fits = fits(&all, now, BURST, REFILL) && fits(&by_kind[kind], now, BURST_OF_ONE, REFILL_OF_ONE);
            prop_assert_eq!(matches!(chatter.step(NAMES[kind], now), Word::Say { .. }), fits);
            if fits {
                all.push(now);
                by_kind[kind].push(now);
            }
        }
        for begin in &all {
            let hour = all.iter().filter(|said| *said >= begin && said.since(*begin) < HOUR).count();
            prop_assert!(hour < 80, "{hour} within an hour");
        }
    }

    #[test]
    fn everything_is_said_or_told_once_and_reports_are_rare(entries in entries()) {
        let (mut chatter, mut now) = (Chatter::default(), Moment::default());
        let (mut held, mut told, mut reports) = (0_u32, 0_u32, Vec::<Moment>::new());
        for (kind, pause) in entries {
            now = now + Duration::from_secs(pause);
            held += u32::from(chatter.step(NAMES[kind], now) == Word::Hold);
            if let Some(report) = chatter.report(now) {
                prop_assert_eq!(report.total, report.kinds.iter().map(|(_, count)| count).sum::<u32>());
                prop_assert!(reports.last().is_none_or(|last| now.since(*last) >= REPORT_INTERVAL));
                told += report.total;
                reports.push(now);
            }
        }
        let rest = chatter.report(now + REPORT_INTERVAL).map_or(0, |report| report.total);
        prop_assert_eq!(held, told + rest);
    }

    #[test]
    fn a_clock_that_goes_back_changes_nothing(entries in entries(), back in prop::collection::vec(0..5000_u64, 400)) {
        let (mut one, mut other, mut now) = (Chatter::default(), Chatter::default(), Moment::default());
        for ((kind, pause), back) in entries.into_iter().zip(back) {
            now = now + Duration::from_secs(pause);
            prop_assert_eq!(one.step(NAMES[kind], now), other.step(NAMES[kind], now));
            let earlier = Moment::after_origin(now.since_origin().saturating_sub(Duration::from_secs(back)));
            prop_assert_eq!(one.step(NAMES[kind], now), other.step(NAMES[kind], earlier));
            prop_assert_eq!(one.report(now), other.report(earlier));
        }
        prop_assert_eq!(one, other);
    }
}

#[test]
fn a_kind_that_chatters_takes_no_room_from_the_others_and_says_how_much_was_left_out() {
    let mut chatter = Chatter::default();
    for _ in 0..BURST_OF_ONE {
        assert_eq!(chatter.step("flap", at(0)), Word::Say { held_before: 0 });
    }
    for second in 0..500 {
        assert_eq!(chatter.step("flap", at(second)), Word::Hold);
    }
    assert_eq!(chatter.step("other", at(500)), Word::Say { held_before: 0 });
    assert_eq!(chatter.step("flap", at(600)), Word::Say { held_before: 500 });
    assert_eq!(chatter.step("flap", at(600)), Word::Hold);
    assert_eq!(chatter.step("flap", at(1200)), Word::Say { held_before: 1 });
}

#[test]
fn what_is_urgent_is_said_however_much_else_there_was() {
    let mut chatter = Chatter::default();
    for name in NAMES {
        hold(&mut chatter, name, at(0));
    }
    assert_eq!(chatter.step("another", at(1)), Word::Hold);
    assert_eq!(chatter.step_urgent("stuck", at(1)), Word::Say { held_before: 0 });
    let said = (0..3600).filter(|second| chatter.step_urgent("stuck", at(*second)) != Word::Hold).count();
    assert!(said < 13, "{said}");
    assert!(chatter.last_report(at(3600)).is_some_and(|held| held.total > 3600));
    assert_eq!(chatter.last_report(at(3600)), None);
}

/// Holds one entry of this kind back.
fn hold(chatter: &mut Chatter, name: &'static str, now: Moment) {
    while chatter.step(name, now) != Word::Hold {}
}

#[test]
fn tells_when_it_has_settled_or_every_ten_minutes() {
    let mut chatter = Chatter::default();
    assert_eq!(chatter.report(at(5000)), None);
    hold(&mut chatter, "a", at(5000));
    hold(&mut chatter, "b", at(5030));
    hold(&mut chatter, "b", at(5030));
    assert_eq!(chatter.report(at(5089)), None);
    let held = chatter.report(at(5090)).unwrap();
    assert_eq!((held.total, held.lasted, held.to_string().as_str()), (3, Duration::from_secs(90), "b 2, a 1"));
    assert_eq!(chatter.report(at(9000)), None, "told already");

    // it goes on and on
    let mut told = Vec::new();
    for second in 10_000..13_600 {
        hold(&mut chatter, "a", at(second));
        told.extend(chatter.report(at(second)).map(|_| second));
    }
    assert_eq!(told, [10_600, 11_201, 11_802, 12_403, 13_004]);
    assert_eq!(chatter.report(at(13_604)), None);
    assert!(chatter.report(at(13_605)).is_some(), "and the rest when it has ended");
}

#[test]
fn a_report_names_the_most_frequent_kinds() {
    let kinds = NAMES.iter().zip((1..=12).rev()).map(|(name, count)| (*name, count)).collect();
    let held = Held { total: 78, lasted: HOUR, kinds };
    assert_eq!(held.to_string(), "a 12, b 11, c 10, d 9, e 8, f 7, 21 of other kinds");
}
