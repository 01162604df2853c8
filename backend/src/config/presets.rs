//! What "seckill up" sets of itself, unless it is set otherwise.

use super::{ALL_ROUNDS, Config, Source, captcha};

impl Config {
    /// The board polls the edge that "seckill up" starts, unless others are listed. Whatever
    /// else runs the roles cannot know where its edges are.
    pub fn list_own_edge(&mut self) {
        let own = format!("http://127.0.0.1:{}/metrics", self.port);
        if let Ok(uri) = own.parse()
            && self.preset("edges", &own, Source::Default)
        {
            self.edges = vec![uri];
        }
    }

    /// What `--demo` turns on unless it is set otherwise: the demo login, the
    /// puzzle, and simulated shoppers, since nothing is real in a demo.
    pub fn prepare_demo(&mut self) {
        let demo = || Source::Flag("--demo".to_owned());
        if self.preset("demo_login", "on", demo()) {
            self.demo_login = true;
        }
        if self.preset("captcha", "slider", demo()) {
            self.captcha.kind = captcha::Kind::Slider;
        }
        if self.preset("simulation_rounds", ALL_ROUNDS, demo()) {
            self.simulation_rounds = vec![ALL_ROUNDS.to_owned()];
        }
    }

    /// Whether `key` is not set; then it is shown with this value, from `source`, and
    /// commands that find this system in its data folder take it over.
    fn preset(&mut self, key: &str, value: &str, source: Source) -> bool {
        let mut settings = self.settings.iter_mut();
        let untouched = settings.find(|it| it.key == key && it.source == Source::Default);
        let Some(setting) = untouched else {
            return false;
        };
        (setting.value, setting.source) = (value.to_owned(), source);
        self.in_force.0.insert(key.to_owned(), value.to_owned());
        true
    }
}
