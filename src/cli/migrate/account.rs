//! What became of an object, in words.

use crate::cli::simulate::files::Manifest;

/// What became of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It says the same in the new object.
    Kept,
    /// The new object says it in another way, or what nobody wrote has another meaning now.
    Changed,
    /// It has no meaning any more, and nothing is lost.
    Dropped,
    /// A person has to decide, or to do something.
    Person,
}

/// What became of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What became of it.
    pub fate: Fate,
    /// Its path in the old object; after a refusal, in the new one.
    pub field: String,
    /// In words; empty for what was kept.
    pub text: String,
}

/// What became of one object.
#[derive(Clone, Debug)]
pub struct Account {
    title: String,
    home: String,
    /// The new objects: kind and name.
    pub made: Vec<(String, String)>,
    /// Field by field.
    pub notes: Vec<Note>,
}

impl Account {
    /// Nothing is said yet of this object.
    #[must_use]
    pub fn new(manifest: &Manifest) -> Self {
        let place = manifest.place("");
        let title = format!(
            "{}:{}: {} {} of {}",
            manifest.file(),
            place.line,
            manifest.kind(),
            manifest.name(),
            manifest.group()
        );
        Self {
            title,
            home: manifest.namespace().to_owned(),
            made: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Whether this is the account of a new object.
    #[must_use]
    pub fn is_of(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let made = self.made.iter().any(|(a, b)| a == kind && b == name);
        made && (self.home.is_empty() || self.home == namespace)
    }

    /// The field says the same in the new object.
    pub fn keep(&mut self, field: &str) {
        self.note(Fate::Kept, field, "");
    }

    /// The field is said in another way.
    pub fn change(&mut self, field: &str, text: &str) {
        self.note(Fate::Changed, field, text);
    }

    /// The field has no meaning any more.
    pub fn drop(&mut self, field: &str, text: &str) {
        self.note(Fate::Dropped, field, text);
    }

    /// Somebody has to look at the field.
    pub fn ask(&mut self, field: &str, text: &str) {
        self.note(Fate::Person, field, text);
    }

    fn note(&mut self, fate: Fate, field: &str, text: &str) {
        let note = Note {
            fate,
            field: field.to_owned(),
            text: text.to_owned(),
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether somebody has to do something.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        self.notes.iter().any(|note| note.fate == Fate::Person)
    }

    /// As people read it.
    #[must_use]
    pub fn text(&self) -> String {
        let made: Vec<_> = self
            .made
            .iter()
            .map(|(kind, name)| format!("{kind} {name}"))
            .collect();
        let made = if made.is_empty() {
            "nothing".to_owned()
        } else {
            made.join(", ")
        };
        let mut text = format!("{} → {made}\n", self.title);
        let kept: Vec<_> = self
            .of(Fate::Kept)
            .map(|note| note.field.as_str())
            .collect();
        if !kept.is_empty() {
            text.push_str(&format!("  kept     {}\n", kept.join(", ")));
        }
        let titles = [
            (Fate::Changed, "changed "),
            (Fate::Dropped, "dropped "),
            (Fate::Person, "you     "),
        ];
        for (fate, title) in titles {
            for note in self.of(fate) {
                text.push_str(&format!("  {title} {}: {}\n", note.field, note.text));
            }
        }
        text
    }

    fn of(&self, fate: Fate) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(move |note| note.fate == fate)
    }
}
