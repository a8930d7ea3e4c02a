"""The questions of the protocol notes that no source settles, and what this server does."""

UNCONFIRMED = {
    "default order of versions": "newest first",
    "order and filter keys of versions": "those of registries too; any other is an error that names it",
    "a name without alias": "means `latest`",
    "`vN` among `Artifact.aliases`": "yes; not among a collection's",
    "scope of digest deduplication": "any committed version of the collection",
    "scope of content deduplication": "projects of the entity that the writer sees",
    "reuse of a deleted version's number": "never",
    "linking the same version twice": "keeps the number, adds the aliases",
    "an MD5 upload into an XXH128 collection": "accepted; the version stays MD5",
    "nullability of `digestAlgorithm`": "null only for a sequence without a version",
    "life time of presigned URLs": "one hour",
    "status of an answer with GraphQL errors": "200",
    "largest page": "10,000 items; 50 unless asked",
    "text form of `DateTime`": "UTC to the second, with `Z`",
    "form of `commitHash`": "20 hex digits, one for each membership",
    "status of the download handler's redirect": "302",
    "files of the same basename or digest": "one file for each key of the manifest",
    "completing a multipart upload again": "the same answer, until the version is committed",
    "`historyTail` of a run without metrics": "one empty row; 0.19 cannot resume without",
}
