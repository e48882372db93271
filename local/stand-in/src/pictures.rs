//! Images: notes of what to draw, by name, and the drawing itself.
//!
//! No pixels are kept. An image is a real PNG, drawn when it is asked for: a gradient of the noted size and colour.

use std::{
    collections::VecDeque,
    io::Write,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::graph::{Keep, Picture};

/// Images remembered; the oldest is forgotten first.
pub(crate) const PICTURES_MAX: usize = 4_096;
const BYTES_PER_PIXEL: usize = 3;

#[derive(Debug, PartialEq, Eq)]
struct Noted {
    kind: &'static str,
    subfolder: String,
    filename: String,
    picture: Picture,
}

#[derive(Debug, Default)]
struct Shelf {
    counter: u64,
    noted: VecDeque<Noted>,
}

#[derive(Debug, Default)]
pub(crate) struct Pictures(Mutex<Shelf>);

impl Pictures {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an image under a fresh name and answers `{filename, subfolder, type}`.
    pub(crate) fn keep(&self, picture: Picture, keep: &Keep) -> Value {
        let mut shelf = self.shelf();
        shelf.counter += 1;
        let (kind, path) = match keep {
            Keep::Temp => ("temp", "ComfyUI_temp"),
            Keep::Output { prefix } => ("output", prefix.as_str()),
        };
        let (subfolder, stem) = path.rsplit_once('/').unwrap_or(("", path));
        let filename = format!("{stem}_{:05}_.png", shelf.counter);
        let told = json!({ "filename": filename, "subfolder": subfolder, "type": kind });
        shelf.noted.push_back(Noted { kind, subfolder: subfolder.to_owned(), filename, picture });
        while shelf.noted.len() > PICTURES_MAX {
            shelf.noted.pop_front();
        }
        told
    }

    pub(crate) fn find(&self, kind: &str, subfolder: &str, filename: &str) -> Option<Picture> {
        let shelf = self.shelf();
        let same = |noted: &&Noted| noted.kind == kind && noted.subfolder == subfolder && noted.filename == filename;
        shelf.noted.iter().find(same).map(|noted| noted.picture)
    }
}

/// The gradient as a PNG: from the picture's colour at the top left to light at the bottom right.
pub(crate) fn draw(picture: Picture) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width, picture.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.add_text_chunk("Software".to_owned(), "Stand-in for ComfyUI".to_owned())?;
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer()?;
    let mut row = vec![0; picture.width as usize * BYTES_PER_PIXEL];
    for y in 0..picture.height {
        for (x, pixel) in (0..picture.width).zip(row.chunks_exact_mut(BYTES_PER_PIXEL)) {
            pixel.copy_from_slice(&shade(picture, x, y));
        }
        stream.write_all(&row)?;
    }
    stream.finish()?;
    writer.finish()?;
    Ok(bytes)
}

/// Red and green brighten to the right, blue downwards.
fn shade(picture: Picture, x: u32, y: u32) -> [u8; BYTES_PER_PIXEL] {
    let [_, red, green, blue] = picture.color.to_be_bytes();
    let brighten = |channel: u8, at: u32, of: u32| {
        let room = u32::from(u8::MAX - channel);
        channel.saturating_add(u8::try_from(room * at / of.max(1)).unwrap_or(u8::MAX))
    };
    [
        brighten(red, x, picture.width),
        brighten(green, x + y, picture.width + picture.height),
        brighten(blue, y, picture.height),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_is_a_png_of_the_noted_size_and_colour() {
        let picture = Picture { width: 37, height: 11, color: 0x0012_3456, batch: 1 };
        let bytes = draw(picture).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((frame.width, frame.height), (37, 11));
        assert_eq!(pixels[..3], [0x12, 0x34, 0x56]);
        assert!(pixels[pixels.len() - 3] > 0xf0);
    }

    #[test]
    fn every_image_gets_its_own_name_and_is_found_by_it() {
        let pictures = Pictures::default();
        let small = Picture { width: 8, ..Picture::EXAMPLE };
        let first = pictures.keep(Picture::EXAMPLE, &Keep::Temp);
        let second = pictures.keep(small, &Keep::Output { prefix: "trips/sea".to_owned() });
        assert_eq!(first, json!({ "filename": "ComfyUI_temp_00001_.png", "subfolder": "", "type": "temp" }));
        assert_eq!(second, json!({ "filename": "sea_00002_.png", "subfolder": "trips", "type": "output" }));
        assert_eq!(pictures.find("output", "trips", "sea_00002_.png"), Some(small));
        assert_eq!(pictures.find("temp", "trips", "sea_00002_.png"), None);
    }

    #[test]
    fn the_oldest_image_is_forgotten_first() {
        let pictures = Pictures::default();
        for _ in 0..=PICTURES_MAX {
            pictures.keep(Picture::EXAMPLE, &Keep::Temp);
        }
        assert_eq!(pictures.find("temp", "", "ComfyUI_temp_00001_.png"), None);
        assert_eq!(pictures.find("temp", "", "ComfyUI_temp_00002_.png"), Some(Picture::EXAMPLE));
    }
}
