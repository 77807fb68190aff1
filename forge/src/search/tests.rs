//! What a search says where something is missing, wrong or too close to call.

use super::synthetic::{Family, Guesses, KEEP, Synthetic, TOKENS, WINDOWS, space};
use super::{
    Binary, Coverage, Event, Exhaustive, Fate, Funnel, Observer, Outcome, Point, Settings, Space, Step, Strategy,
    Surface, WindowLoss, Windows, make_strategy, run,
};
use crate::bench::Failure;
use crate::recipe::Strategy as Named;
use measure::statistics::Random;

pub(super) const STRATEGIES: [Named; 6] =
    [Named::Funnel, Named::Exhaustive, Named::Binary, Named::Ransac, Named::Bayesian, Named::Adaptive];

/// The strategy of this name.
pub(super) fn by_name(name: &str, seed: u64, coverage: Option<Coverage>) -> Result<Box<dyn Strategy>, Failure> {
    let named = STRATEGIES.into_iter().find(|strategy| strategy.name() == name);
    make_strategy(named.unwrap(), seed, coverage)
}

fn settings() -> Settings {
    let full = u64::from(WINDOWS * TOKENS);
    Settings { keep: Some(KEEP), quick: full / 8, full, ..Settings::default() }
}

fn search(name: &str, surface: &mut dyn Surface, space: &Space, settings: &Settings) -> Outcome {
    let coverage = Coverage { axis: 0, shares: vec![1.0, 0.9, 0.7], enough: 0.85 };
    run(space, surface, &mut *by_name(name, 1, Some(coverage)).unwrap(), settings, &mut ()).unwrap()
}

/// One axis whose values have these losses.
fn line(losses: &[f64]) -> Synthetic {
    let truth = losses.iter().enumerate().map(|(at, &loss)| (Point(vec![at]), loss)).collect();
    Synthetic::with(space(&[losses.len()]), truth, Guesses::None, &mut Random(5))
}

fn fate(outcome: &Outcome, at: usize) -> &Fate {
    &outcome.listed.iter().find(|listed| listed.point == Point(vec![at])).unwrap().fate
}

/// Watches, and ends the search after so many looks.
#[derive(Default)]
struct Watcher {
    events: Vec<Event>,
    looks: Option<usize>,
}

impl Observer for Watcher {
    fn event(&mut self, event: &Event) {
        self.events.push(event.clone());
    }

    fn cancelled(&self) -> bool {
        self.looks.is_some_and(|looks| self.events.len() >= looks)
    }
}

#[test]
fn every_candidate_is_listed_with_the_number_that_dropped_it() {
    let mut surface = line(&[0.0, 0.01, 0.02, 0.09, 0.3]);
    let fits = surface.sizes[&Point(vec![0])] - 1;
    let settings = Settings { fits: Some(fits), ..settings() };
    let space = surface.space.clone();
    let outcome = search("funnel", &mut surface, &space, &settings);
    assert_eq!(outcome.winner, Some(Point(vec![2])));
    assert_eq!(fate(&outcome, 0), &Fate::TooLarge { limit: fits });
    let larger = surface.sizes[&Point(vec![1])] - surface.sizes[&Point(vec![2])];
    assert_eq!(fate(&outcome, 1), &Fate::Larger { by: larger });
    for at in [3, 4] {
        let Fate::AboveGate { low, gate } = *fate(&outcome, at) else { panic!("{:?}", fate(&outcome, at)) };
        assert!(low > gate && (gate - 1.05).abs() < 1e-12);
    }
    let confirmation = outcome.confirmation().unwrap();
    assert!(confirmation.shown && confirmation.held.high < 1.05 && confirmation.held.windows == WINDOWS as usize);
    let kept = outcome.listed.iter().filter(|listed| listed.measured.is_some() && listed.p_holm.is_some()).count();
    assert_eq!(kept, 3);
}

#[test]
fn the_table_names_the_winner_the_numbers_and_the_cost() {
    let mut surface = line(&[0.0, 0.01, 0.02, 0.09, 0.3]);
    surface.loudness = 0.0;
    let space = surface.space.clone();
    let outcome = search("funnel", &mut surface, &space, &settings());
    assert_eq!(
        outcome.table(),
        "\
winner: experts 3, 22.8 GB; +2.02 % [+2.02 %, +2.02 %] perplexity on held text; kept, gate +5.00 %
candidate      size                          perplexity  step      decided by
experts 1   15.7 GB       +34.99 % [+34.99 %, +34.99 %]  quick     at least +34.99 %, gate +5.00 %
experts 2   19.3 GB          +9.42 % [+9.42 %, +9.42 %]  quick     at least +9.42 %, gate +5.00 %
experts 3   22.8 GB          +2.02 % [+2.02 %, +2.02 %]  held      winner
experts 4   26.4 GB                                   ·  size      3.6 GB larger than the winner
experts 5   30.0 GB                                   ·  size      7.2 GB larger than the winner
funnel: 25 k tokens, 8 % of a full evaluation of all that fit; 66 k on held text
"
    );
    let outcome = search("funnel", &mut surface, &space, &Settings { keep: None, ..settings() });
    assert_eq!(
        outcome.table(),
        "\
winner: experts 5, 30.0 GB; +0.00 % [+0.00 %, +0.00 %] perplexity on held text; better than experts 4: -1.00 % [-1.00 %, -1.00 %]
candidate      size                          perplexity  step      decided by
experts 1   15.7 GB       +34.99 % [+34.99 %, +34.99 %]  quick     at least +34.99 % against the winner
experts 2   19.3 GB          +9.42 % [+9.42 %, +9.42 %]  quick     at least +9.42 % against the winner
experts 3   22.8 GB          +2.02 % [+2.02 %, +2.02 %]  quick     at least +2.02 % against the winner
experts 4   26.4 GB          +1.01 % [+1.01 %, +1.01 %]  quick     at least +1.01 % against the winner
experts 5   30.0 GB          +0.00 % [+0.00 %, +0.00 %]  held      winner
funnel: 41 k tokens, 12 % of a full evaluation of all that fit; 131 k on held text
"
    );
}

#[test]
fn of_an_ordered_axis_only_the_best_that_fits_is_measured_by_bisection() {
    let mut surface = line(&[0.0, 0.01, 0.02]);
    let space = surface.space.clone();
    let settings = Settings { keep: None, fits: Some(surface.sizes[&Point(vec![1])]), ..settings() };
    let outcome = search("binary", &mut surface, &space, &settings);
    assert_eq!(outcome.winner, Some(Point(vec![1])));
    assert_eq!(fate(&outcome, 2), &Fate::Below { better: Point(vec![1]) });
}

#[test]
fn guesses_far_above_the_gate_are_never_measured() {
    let truth = [0.0, 0.01, 0.02, 0.5, 0.9].into_iter().enumerate().map(|(at, loss)| (Point(vec![at]), loss));
    let mut surface = Synthetic::with(space(&[5]), truth.collect(), Guesses::Good, &mut Random(5));
    let space = surface.space.clone();
    let outcome = search("exhaustive", &mut surface, &space, &settings());
    let predicted: Vec<_> =
        outcome.listed.iter().filter(|listed| matches!(listed.fate, Fate::Predicted { .. })).collect();
    assert_eq!(predicted.len(), 2);
    for listed in predicted {
        let Fate::Predicted { ratio, limit } = listed.fate else { panic!() };
        assert!(ratio > limit && listed.measured.is_none() && listed.step == Step::Estimate);
    }
}

#[test]
fn nothing_fits() {
    for name in STRATEGIES.map(Named::name) {
        let mut surface = line(&[0.0, 0.01]);
        let space = surface.space.clone();
        let outcome = search(name, &mut surface, &space, &Settings { fits: Some(5), ..settings() });
        assert_eq!((outcome.winner.clone(), outcome.nearest.clone(), outcome.tokens.search), (None, None, 0));
        assert_eq!(outcome.notes, ["no candidate fits"]);
        assert!(outcome.table().starts_with("no winner\n"), "{}", outcome.table());
    }
}

#[test]
fn a_candidate_that_fails_is_dropped_with_its_reason_and_the_search_goes_on() {
    for name in STRATEGIES.map(Named::name) {
        let mut surface = line(&[0.0, 0.01, 0.015, 0.02, 0.2, 0.3]);
        surface.broken.insert(Point(vec![3]));
        let space = surface.space.clone();
        let outcome = search(name, &mut surface, &space, &settings());
        assert_eq!(outcome.winner, Some(Point(vec![2])), "{name}");
        assert_eq!(fate(&outcome, 3), &Fate::Failed { reason: "no such quantisation".into() }, "{name}");
    }
}

#[test]
fn everything_fails() {
    for name in STRATEGIES.map(Named::name) {
        for keep in [None, Some(KEEP)] {
            let mut surface = line(&[0.0, 0.01, 0.02]);
            surface.broken.extend(surface.space.points());
            let space = surface.space.clone();
            let outcome = search(name, &mut surface, &space, &Settings { keep, ..settings() });
            assert_eq!((&outcome.winner, &outcome.nearest), (&None, &None), "{name}");
            assert_eq!(outcome.notes, ["every candidate that fits failed"], "{name}, {keep:?}");
            assert!(outcome.listed.iter().all(|listed| matches!(listed.fate, Fate::Failed { .. })), "{name}");
        }
    }
}

/// Answers that no comparison can use.
struct Liar(fn(&[u32]) -> Vec<WindowLoss>);

impl Surface for Liar {
    fn windows(&self) -> Windows {
        Windows { search: 64, held: 64, tokens: 10 }
    }

    fn size(&mut self, point: &Point) -> Result<u64, Failure> {
        if point.0[0] == 1 { Err(Failure::new("no tensor of that name")) } else { Ok(9 - point.0[0] as u64) }
    }

    fn measure(&mut self, _: &Point, windows: &[u32]) -> Result<Vec<WindowLoss>, Failure> {
        Ok((self.0)(windows))
    }
}

fn loss(window: u32, nats: f64) -> WindowLoss {
    WindowLoss { window, nats, base: 1.0, tokens: 1 }
}

#[test]
fn losses_that_are_no_numbers_or_of_other_windows_are_failures() {
    type Answer = fn(&[u32]) -> Vec<WindowLoss>;
    let answers: [(Answer, &str); 3] = [
        (|windows| windows.iter().map(|&window| loss(window, f64::NAN)).collect(), "cost NaN nats"),
        (|windows| windows[1..].iter().map(|&window| loss(window, 1.0)).collect(), "windows were measured"),
        (|windows| windows.iter().map(|_| loss(0, 1.0)).collect(), "windows were measured"),
    ];
    for (answer, words) in answers {
        let outcome = search("funnel", &mut Liar(answer), &space(&[3]), &settings());
        assert_eq!(outcome.winner, None);
        let reason = |at| match fate(&outcome, at) {
            Fate::Failed { reason } => reason.clone(),
            other => panic!("{other:?}"),
        };
        assert!(reason(0).contains(words) && reason(2).contains(words), "{}", reason(0));
        assert_eq!(reason(1), "no tensor of that name");
    }
}

#[test]
fn too_close_to_call_names_the_nearest_and_what_it_would_take() {
    let mut surface = line(&[0.047, 0.048, 0.06, 0.2]);
    surface.loudness = 2.0;
    let space = surface.space.clone();
    let outcome = search("funnel", &mut surface, &space, &settings());
    assert_eq!(outcome.winner, None, "{}", outcome.table());
    let nearest = outcome.nearest.clone().unwrap();
    assert!(nearest.point.0[0] < 3);
    let ratio = nearest.ratio.unwrap();
    assert!(ratio.low < 1.05 && ratio.high > 1.05);
    assert_eq!(nearest.more_tokens.is_some(), ratio.ratio < 1.05);
    assert!(outcome.table().starts_with("not shown: no candidate is below the gate of +5.00 %; nearest experts"));
    assert!(outcome.listed.iter().any(|listed| matches!(listed.fate, Fate::NotShown { .. })));
}

#[test]
fn what_next_to_no_difference_would_take_is_a_number() {
    let surface = line(&[0.0]);
    assert_eq!(surface.cost(usize::MAX), u64::MAX);
}

#[test]
fn bisection_says_that_a_surface_is_not_monotone() {
    let mut noticed = 0;
    for seed in 0..20 {
        // Every second value is bad.
        let losses: Vec<f64> = (0..12).map(|at| if at % 2 == 0 { 0.01 } else { 0.15 }).collect();
        let mut surface = line(&losses);
        let space = surface.space.clone();
        let outcome = run(&space, &mut surface, &mut Binary::new(seed), &settings(), &mut ()).unwrap();
        let winner = outcome.winner.unwrap();
        assert_eq!(winner.0[0] % 2, 0);
        let is_noticed = outcome.notes.iter().any(|note| note.starts_with("not monotone"));
        noticed += usize::from(is_noticed);
        assert!(is_noticed == (winner.0[0] == 10), "{:?}", outcome.notes);
    }
    assert!(noticed >= 10, "{noticed} of 20");
}

#[test]
fn the_same_seed_is_the_same_search() {
    for name in STRATEGIES.map(Named::name) {
        let [one, again] = [(); 2].map(|()| {
            let mut surface = Synthetic::new(Family::Interaction, Guesses::Good, 1.0, 8);
            let space = surface.space.clone();
            let coverage = Coverage { axis: 0, shares: vec![1.0, 0.9, 0.7], enough: 0.85 };
            let mut strategy = by_name(name, 4, Some(coverage)).unwrap();
            let mut watcher = Watcher::default();
            let outcome = run(&space, &mut surface, &mut *strategy, &settings(), &mut watcher).unwrap();
            serde_json::to_string(&(outcome, watcher.events)).unwrap()
        });
        assert_eq!(one, again, "{name}");
    }
}

#[test]
fn the_history_has_a_line_for_each_look_and_can_be_written() {
    let mut surface = line(&[0.0, 0.01, 0.02, 0.2]);
    let space = surface.space.clone();
    let mut watcher = Watcher::default();
    let outcome = run(&space, &mut surface, &mut Funnel, &settings(), &mut watcher).unwrap();
    let lines: Vec<serde_json::Value> =
        watcher.events.iter().map(|event| serde_json::to_value(event).unwrap()).collect();
    assert_eq!(lines[0]["event"], "measured");
    assert_eq!(lines[0]["standing"], "above");
    assert_eq!(lines.last().unwrap()["event"], "confirmed");
    let json = serde_json::to_value(&outcome).unwrap();
    assert_eq!(json["listed"][0]["fate"], "above_gate");
    assert!(json["listed"][0]["low"].as_f64().unwrap() > 1.05);
    assert_eq!(json["winner"], serde_json::json!([2]));
}

#[test]
fn a_limit_of_tokens_ends_the_search() {
    let mut surface = line(&[0.0, 0.01, 0.02, 0.2]);
    let space = surface.space.clone();
    let settings = Settings { most: Some(settings().quick), ..settings() };
    let outcome = run(&space, &mut surface, &mut Funnel, &settings, &mut ()).unwrap();
    assert_eq!((outcome.winner.clone(), outcome.tokens.search), (None, settings.quick));
    assert_eq!(fate(&outcome, 0), &Fate::NotReached);
    assert!(outcome.notes[0].starts_with("the search ended after 8192 tokens"), "{:?}", outcome.notes);
}

#[test]
fn a_cancelled_search_is_an_error() {
    let mut surface = line(&[0.0, 0.01, 0.02, 0.2]);
    let space = surface.space.clone();
    let mut watcher = Watcher { looks: Some(1), ..Watcher::default() };
    let failure = run(&space, &mut surface, &mut Exhaustive, &settings(), &mut watcher).unwrap_err();
    assert_eq!(failure, Failure::Cancelled);
    assert_eq!(watcher.events.len(), 1);
}

#[test]
fn settings_that_mean_nothing_are_refused() {
    let mut surface = line(&[0.0, 0.01]);
    let space = surface.space.clone();
    for (settings, words) in [
        (Settings { keep: Some(f64::NAN), ..settings() }, "`keep`"),
        (Settings { keep: Some(-1.0), ..settings() }, "`keep`"),
        (Settings { confidence: 1.0, ..settings() }, "`confidence` is 1"),
        (Settings { confidence: f64::NAN, ..settings() }, "`confidence` is NaN"),
    ] {
        let failure = run(&space, &mut surface, &mut Funnel, &settings, &mut ()).unwrap_err();
        assert!(failure.to_string().contains(words), "{failure}");
    }
    let failure = make_strategy(Named::Adaptive, 0, None).err().unwrap();
    assert!(failure.to_string().contains("`profile` stage"), "{failure}");
}

#[test]
fn losses_below_the_base_are_kept() {
    let mut surface = line(&[0.0, -0.02, -0.05]);
    let space = surface.space.clone();
    for name in STRATEGIES.map(Named::name) {
        let outcome = search(name, &mut surface, &space, &Settings { keep: Some(0.0), ..settings() });
        assert_eq!(outcome.winner, Some(Point(vec![2])), "{name}");
    }
}

#[test]
fn one_candidate_alone_is_measured_and_confirmed() {
    for name in STRATEGIES.map(Named::name) {
        for keep in [None, Some(KEEP)] {
            let mut surface = line(&[0.01]);
            let space = surface.space.clone();
            let outcome = search(name, &mut surface, &space, &Settings { keep, ..settings() });
            assert_eq!(outcome.winner, Some(Point(vec![0])), "{name}");
            assert_eq!(outcome.confirmation().unwrap().shown, keep.is_some(), "{name}");
            assert_eq!(outcome.winner().unwrap().step, Step::Held);
        }
    }
}
