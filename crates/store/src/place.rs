//! Places on the Earth, and how far they are from each other.
//!
//! The Earth is a sphere here, of the mean radius of WGS 84; distances are
//! those of great circles. They differ from those on the ellipsoid by half a
//! percent at most.

/// A place, in ten-millionths of a degree: a centimetre or less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    latitude: i32,
    longitude: i32,
}

/// Mean radius of the Earth, (2a + b) / 3.
const RADIUS_M: f64 = 6_371_008.8;
/// Parts of a degree.
const PARTS: f64 = 1e7;
const LATITUDE_MAX: i32 = 900_000_000;
const LONGITUDE_MAX: i32 = 1_800_000_000;

impl Place {
    /// A place by its degrees, north and east; `None` beyond 90 or 180.
    #[must_use]
    pub fn of_degrees(latitude: f64, longitude: f64) -> Option<Self> {
        let in_range = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        in_range.then(|| Self {
            latitude: (latitude * PARTS).round() as i32,
            longitude: (longitude * PARTS).round() as i32,
        })
    }

    /// A place by ten-millionths of degrees, north and east.
    #[must_use]
    pub fn of_parts(latitude: i32, longitude: i32) -> Option<Self> {
        let latitudes = -LATITUDE_MAX..=LATITUDE_MAX;
        let longitudes = -LONGITUDE_MAX..=LONGITUDE_MAX;
        let in_range = latitudes.contains(&latitude) && longitudes.contains(&longitude);
        in_range.then_some(Self {
            latitude,
            longitude,
        })
    }

    /// Ten-millionths of degrees north of the equator.
    #[must_use]
    pub fn latitude(self) -> i32 {
        self.latitude
    }

    /// Ten-millionths of degrees east of Greenwich.
    #[must_use]
    pub fn longitude(self) -> i32 {
        self.longitude
    }

    /// How far another place is, in metres.
    #[must_use]
    pub fn distance_m(self, other: Self) -> f64 {
        let half = |a: i32, b: i32| radians(f64::from(a) - f64::from(b)) / 2.0;
        let (north, east) = (
            half(self.latitude, other.latitude).sin(),
            half(self.longitude, other.longitude).sin(),
        );
        let flat =
            radians(f64::from(self.latitude)).cos() * radians(f64::from(other.latitude)).cos();
        let haversine = north * north + flat * east * east;
        2.0 * RADIUS_M * haversine.sqrt().min(1.0).asin()
    }

    /// One or two boxes of latitudes and longitudes, in ten-millionths of
    /// degrees, ends included, that hold all places so near and few others:
    /// two where they reach beyond the date line.
    #[must_use]
    pub fn around(self, distance_m: f64) -> Vec<Around> {
        // A little more, lest rounding leave something out.
        let angle = distance_m / RADIUS_M + 1e-8;
        let center = radians(f64::from(self.latitude));
        let (south, north) = (center - angle, center + angle);
        let quarter = std::f64::consts::FRAC_PI_2;
        let latitudes = (
            parts(south).max(-LATITUDE_MAX),
            parts(north).min(LATITUDE_MAX),
        );
        let whole = (-LONGITUDE_MAX, LONGITUDE_MAX);
        let around = |longitudes| Around {
            latitudes,
            longitudes,
        };
        if south <= -quarter || north >= quarter {
            // A pole is near, and there all longitudes are.
            return vec![around(whole)];
        }
        let wide = parts((angle.sin() / center.cos()).min(1.0).asin()).saturating_add(2);
        let (west, east) = (
            i64::from(self.longitude) - i64::from(wide),
            i64::from(self.longitude) + i64::from(wide),
        );
        let (full, most) = (2 * i64::from(LONGITUDE_MAX), i64::from(LONGITUDE_MAX));
        let narrow = |longitude: i64| i32::try_from(longitude).unwrap_or(LONGITUDE_MAX);
        match (west < -most, east > most) {
            (false, false) => vec![around((narrow(west), narrow(east)))],
            (true, true) => vec![around(whole)],
            (true, false) => vec![
                around((narrow(west + full), LONGITUDE_MAX)),
                around((-LONGITUDE_MAX, narrow(east))),
            ],
            (false, true) => vec![
                around((narrow(west), LONGITUDE_MAX)),
                around((-LONGITUDE_MAX, narrow(east - full))),
            ],
        }
    }
}

/// A box around a place: see [`Place::around`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Around {
    /// From south to north.
    pub latitudes: (i32, i32),
    /// From west to east.
    pub longitudes: (i32, i32),
}

fn radians(parts: f64) -> f64 {
    (parts / PARTS).to_radians()
}

/// Ten-millionths of degrees, as near to the angle as can be.
fn parts(radians: f64) -> i32 {
    (radians.to_degrees() * PARTS).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place::of_degrees(latitude, longitude).unwrap()
    }

    #[track_caller]
    fn apart(a: (f64, f64), b: (f64, f64), kilometres: f64) {
        let (a, b) = (place(a.0, a.1), place(b.0, b.1));
        let distance = a.distance_m(b) / 1000.0;
        assert!((distance - kilometres).abs() < 0.1, "{distance}");
        assert!((b.distance_m(a) / 1000.0 - distance).abs() < 1e-6);
    }

    #[test]
    fn distances_are_those_of_great_circles() {
        let quarter = 10_007.557;
        apart((0.0, 0.0), (0.0, 90.0), quarter);
        apart((0.0, 0.0), (90.0, 17.0), quarter);
        apart((90.0, 0.0), (-90.0, 50.0), 2.0 * quarter);
        apart((0.0, -90.0), (0.0, 90.0), 2.0 * quarter);
        apart((10.0, 180.0), (10.0, -180.0), 0.0);
        apart((90.0, 5.0), (90.0, -120.0), 0.0);
        apart((0.0, 179.5), (0.0, -179.5), quarter / 90.0);
        // Paris and New York.
        apart((48.8566, 2.3522), (40.7128, -74.0060), 5_837.25);
    }

    #[test]
    fn places_are_on_the_earth() {
        assert!(Place::of_degrees(90.0, -180.0).is_some());
        assert!(Place::of_degrees(90.01, 0.0).is_none());
        assert!(Place::of_degrees(0.0, 180.01).is_none());
        assert!(Place::of_degrees(f64::NAN, 0.0).is_none());
        assert!(Place::of_parts(900_000_001, 0).is_none());
        assert!(Place::of_parts(0, i32::MIN).is_none());
    }

    #[test]
    fn boxes_hold_all_that_is_near() {
        let mut state = 7_u64;
        let mut random = |most: f64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            ((state >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0) * most
        };
        let mut near = 0;
        for _ in 0..20_000 {
            let center = place(random(90.0), random(180.0));
            let other = place(
                (f64::from(center.latitude()) / 1e7 + random(5.0)).clamp(-90.0, 90.0),
                random(180.0),
            );
            let distance = random(2_000_000.0).abs();
            if center.distance_m(other) > distance {
                continue;
            }
            near += 1;
            let holds = |around: &Around| {
                let ((south, north), (west, east)) = (around.latitudes, around.longitudes);
                (south..=north).contains(&other.latitude())
                    && (west..=east).contains(&other.longitude())
            };
            assert!(
                center.around(distance).iter().any(holds),
                "{center:?} {other:?}"
            );
        }
        assert!(near > 300, "{near}");
    }
}
