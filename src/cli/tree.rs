//! Lines that hang on lines.

/// A line, and what hangs on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The line.
    pub text: String,
    /// What hangs on it.
    pub children: Vec<Self>,
}

impl Node {
    /// A line on which nothing hangs.
    #[must_use]
    pub fn leaf(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            children: Vec::new(),
        }
    }

    /// A line with others on it.
    #[must_use]
    pub fn with(text: impl Into<String>, children: Vec<Self>) -> Self {
        Self {
            text: text.into(),
            children,
        }
    }

    /// The tree as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{}\n", self.text);
        self.hang("", &mut text);
        text
    }

    fn hang(&self, indent: &str, text: &mut String) {
        for (position, child) in self.children.iter().enumerate() {
            let last = position + 1 == self.children.len();
            let (knot, rail) = if last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            text.push_str(&format!("{indent}{knot}{}\n", child.text));
            child.hang(&format!("{indent}{rail}"), text);
        }
    }
}
