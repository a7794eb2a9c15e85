//! Texts with places that are filled in: `{{name}}`, each by a fixed name, and
//! nothing else, so that whoever writes a text can neither loop nor look at more.

/// What can be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What people call the project.
    Project,
    /// What people call the one written to, or their address.
    Name,
    /// The address of the account.
    Address,
    /// The link.
    Link,
    /// How many hours the link is good for.
    Hours,
}

impl Place {
    /// Its name between the braces.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Name => "name",
            Self::Address => "address",
            Self::Link => "link",
            Self::Hours => "hours",
        }
    }
}

/// A text, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<'a>(Vec<Piece<'a>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Place(Place),
}
salus_phi::guard!(Piece<'_>);

impl<'a> Template<'a> {
    /// Reads a text in which these places may stand.
    ///
    /// # Errors
    /// What is accepted, if another stands there or braces are not closed.
    pub fn parse(text: &'a str, places: &[Place]) -> Result<Self, &'static str> {
        let refused = match places.contains(&Place::Link) {
            true => {
                "a text with no other places than {{project}}, {{name}}, {{address}}, {{link}} \
                 and {{hours}}"
            }
            false => "a text with no other places than {{project}}, {{name}} and {{address}}",
        };
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, behind)) = rest.split_once("{{") {
            let (name, behind) = behind.split_once("}}").ok_or(refused)?;
            let known = places.iter().find(|place| place.name() == name.trim());
            pieces.push(Piece::Text(before));
            pieces.push(Piece::Place(*known.ok_or(refused)?));
            rest = behind;
        }
        pieces.push(Piece::Text(rest));
        Ok(Self(pieces))
    }

    /// Whether a place stands in it.
    #[must_use]
    pub fn has(&self, place: Place) -> bool {
        self.0.contains(&Piece::Place(place))
    }

    /// The text with its places filled in as they are.
    pub fn plain<'v>(&self, value: impl Fn(Place) -> &'v str) -> String {
        self.filled(|to, place| to.push_str(value(place)))
    }

    /// The same as HTML: what is filled in is text there, in an element or a quoted attribute.
    pub fn html<'v>(&self, value: impl Fn(Place) -> &'v str) -> String {
        self.filled(|to, place| escape(to, value(place)))
    }

    fn filled(&self, fill: impl Fn(&mut String, Place)) -> String {
        let mut to = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => to.push_str(text),
                Piece::Place(place) => fill(&mut to, *place),
            }
        }
        to
    }
}

fn escape(to: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&#39;"),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: &[Place] = &[Place::Name, Place::Link];

    fn value(place: Place) -> &'static str {
        match place {
            Place::Name => "<b>\"A\" & 'B'{{link}}",
            Place::Link | Place::Project | Place::Address | Place::Hours => "/x?a=1&b=2",
        }
    }

    #[test]
    fn places_are_filled_in_once() {
        let read = Template::parse("{a}{{name}}: {{ link }}}", PLACES).unwrap();
        let plain = read.plain(value);
        assert_eq!(plain, "{a}<b>\"A\" & 'B'{{link}}: /x?a=1&b=2}");
        let html = read.html(value);
        let name = "&lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;{{link}}";
        assert_eq!(html, format!("{{a}}{name}: /x?a=1&amp;b=2}}"));
    }

    #[track_caller]
    fn refused(text: &str) {
        assert!(Template::parse(text, PLACES).is_err(), "{text}");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        refused("{{password}}");
        refused("{{address}}");
        refused("{{Name}}");
        refused("{{}}");
        refused("{{name");
        refused("{{ {{name}}");
    }
}
