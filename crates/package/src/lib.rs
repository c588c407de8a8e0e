//! The nouns of packages: names, versions, markers, wheel tags, package URLs, licences.
