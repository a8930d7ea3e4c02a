"""The operations that SDK 0.31.0 has about artifacts, by the name they are sent under."""

READS = """
Viewer GetViewer GetDefaultEntity GetProjects GetProject IsProjectReadOnly ProjectArtifactTypes
ProjectArtifactType ArtifactTypeArtifactCollections ProjectArtifactCollections
ProjectArtifactCollection ArtifactCollectionAliases ProjectArtifacts ArtifactMembershipByName
ArtifactByID ArtifactType RunOutputArtifacts RunInputArtifacts ArtifactUsedBy ArtifactCreatedBy
FetchLinkedArtifacts ArtifactMembershipFiles GetArtifactMembershipFileUrls FetchArtifactManifest
ArtifactManifest ArtifactFileURLsByManifestEntries ClientIDMapping XXHashDigestsEnabled
FetchArtifactDigestAlgorithm ServerFeaturesQuery OrganizationCoreWeaveOrganizationID
RunResumeStatus
""".split()

WRITES = """
UpsertBucket CreateRunFiles CreateArtifact CreateArtifactManifest UpdateArtifactManifest
CreateArtifactFiles CompleteMultipartUploadArtifact CommitArtifact UseArtifact UpdateArtifact
AddAliases DeleteAliases DeleteArtifact LinkArtifact UnlinkArtifact UpdateArtifactSequence
UpdateArtifactPortfolio UpdateArtifactSequenceType DeleteArtifactSequence DeleteArtifactPortfolio
AddArtifactCollectionTags DeleteArtifactCollectionTags
""".split()

REGISTRIES = """
FetchOrgInfoFromEntity FetchOrganization FetchRegistry FetchRegistries RegistryCollections
RegistryVersions FetchAdvancedRegistryFeatures RegistryUserMembers RegistryTeamMembers
UpsertRegistry RenameRegistry DeleteRegistry CreateRegistryMembers DeleteRegistryMembers
UpdateUserRegistryRole UpdateTeamRegistryRole
""".split()

# Executed, but not by the part of the tests that is not marked slow.
SLOW = {"CompleteMultipartUploadArtifact": "core uploads in parts from 2 GiB on; its threshold is fixed"}

# Not executed by anything that the SDK lets its user do.
NEVER: dict[str, str] = {}

OPERATIONS = [name for name in READS + WRITES + REGISTRIES if name not in NEVER]
