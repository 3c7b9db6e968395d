//! Sample documents for the demonstration site: files that look like a folder of documents and say
//! in their first line that they are none.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Name below the root, and size in bytes.
const SAMPLES: [(&str, usize); 12] = [
    ("Finance/Budget 2026.qvw", 900_000),
    ("Finance/Cash Flow.qvw", 120_000),
    ("Finance/Profit and Loss.qvw", 1_400_000),
    ("Finance/Travel Expenses.qvw", 40_960),
    ("Operations/Delivery Times.qvw", 260_000),
    ("Operations/Energy Use.qvw", 75_000),
    ("Operations/Shift Plan.qvw", 48_000),
    ("Operations/Stock Levels.qvw", 2_200_000),
    ("Sales/Customer Overview.qvw", 640_000),
    ("Sales/Order Book.qvw", 1_800_000),
    ("Sales/Price List.qvw", 90_000),
    ("Sales/Regional Sales.qvw", 3_000_000),
];

/// Writes the sample documents below a folder, which is made where it is missing. The content is
/// the same each time; files that are there already stay as they are.
///
/// # Errors
///
/// A folder or file cannot be written.
pub fn write_samples(root: &Path) -> io::Result<()> {
    for (name, size_bytes) in SAMPLES {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        match File::create_new(path) {
            Ok(file) => write_sample(file, name, size_bytes)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn write_sample(file: File, name: &str, size_bytes: usize) -> io::Result<()> {
    let first_line = format!(
        "This is a generated sample of the AccessPoint gateway, not a QlikView document: {name}\n"
    );
    let mut file = BufWriter::new(file);
    file.write_all(first_line.as_bytes())?;
    let mut left = size_bytes - first_line.len();
    let mut filler = size_bytes as u64;
    while left > 0 {
        filler = next(filler);
        let bytes = filler.to_le_bytes();
        let some = left.min(bytes.len());
        file.write_all(&bytes[..some])?;
        left -= some;
    }
    file.flush()
}

/// The next of a row of numbers without a pattern (xorshift), so that the files do not compress.
fn next(mut number: u64) -> u64 {
    number ^= number << 13;
    number ^= number >> 7;
    number ^= number << 17;
    number
}

#[cfg(test)]
mod tests {
    use super::super::test_folder::TestFolder;
    use super::super::{Library, Rules};
    use super::*;

    #[test]
    fn a_dozen_documents_in_three_categories_say_what_they_are() {
        let folder = TestFolder::new();
        write_samples(folder.path()).unwrap();
        let snapshot = Library::new(folder.path(), Rules::default()).snapshot();
        assert_eq!(snapshot.documents().len(), 12);
        for document in snapshot.documents() {
            let category = document.category.as_deref().unwrap();
            assert!(["Finance", "Operations", "Sales"].contains(&category));
            assert!((40_000..=3_000_000).contains(&document.size_bytes));
            let content = fs::read(folder.path().join(&document.name)).unwrap();
            let first_line = content.split(|byte| *byte == b'\n').next().unwrap();
            let first_line = std::str::from_utf8(first_line).unwrap();
            assert!(first_line.contains("generated sample"), "{first_line}");
            assert!(first_line.ends_with(&document.name), "{first_line}");
        }
    }

    #[test]
    fn writing_again_gives_the_same_and_leaves_changed_files_alone() {
        let (one, two) = (TestFolder::new(), TestFolder::new());
        let name = "Sales/Price List.qvw";
        two.write(name, b"mine");
        write_samples(one.path()).unwrap();
        write_samples(two.path()).unwrap();
        assert_eq!(fs::read(two.path().join(name)).unwrap(), b"mine");
        let other = "Finance/Cash Flow.qvw";
        let read = |folder: &TestFolder| fs::read(folder.path().join(other)).unwrap();
        assert!(
            read(&one) == read(&two),
            "the content is the same each time"
        );
    }
}
