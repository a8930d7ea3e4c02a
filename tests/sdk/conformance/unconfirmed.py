"""The questions of the protocol notes that no source settles, and what this server does."""

UNCONFIRMED = {
    "default order of versions": "newest first",
    "a name without alias": "means `latest`",
    "`vN` among `Artifact.aliases`": "yes; not among a collection's",
    "scope of digest deduplication": "any committed version of the collection",
    "reuse of a deleted version's number": "never",
    "linking the same version twice": "keeps the number, adds the aliases",
}
