"""Behaviours that the older release cannot show, by test, with the reason."""

_NO_CURSOR = "its paginators have no cursor to save"
_NO_FILTER = "its listings of collections take no filter and no order"
_NO_MEMBERS = "its registries have no members"

DIFFERENCES: dict[str, str] = {
    "test_a_saved_cursor_resumes_after_the_last_item": _NO_CURSOR,
    "test_a_saved_cursor_of_files_resumes_after_the_last_one": _NO_CURSOR,
    "test_collections_of_a_type_filter_by_name_and_order": _NO_FILTER,
    "test_a_filter_with_an_unknown_operator_is_an_error": _NO_FILTER,
    "test_all_collections_of_a_project_are_listed": "its projects do not list their collections",
    "test_a_link_knows_its_source": "its links have no time and no source artifact",
    "test_linked_artifacts_counts_the_links_and_unlink_lowers_it": "it has no `linked_artifacts`",
    "test_linking_a_link_links_its_source_and_the_same_version_once": "its `link` returns nothing",
    "test_xxh128_digests_are_kept_and_verified": "it knows MD5 only",
    "test_an_md5_collection_stays_md5": "it knows MD5 only",
    "test_an_unknown_storage_region_is_an_error_that_names_it": "it knows no storage regions",
    "test_the_storage_region_reaches_the_manifest": "it knows no storage regions",
    "test_a_conflict_of_file_and_directory_is_skipped": "it raises where a file is in the way of a directory",
    "test_a_403_during_a_download_in_parts_refreshes_the_url": "it downloads in parts of a fixed size only",
    "test_unsafe_entry_paths_are_refused": "it follows such paths",
    "test_core_downloads_by_manifest_entries": "it runs without core here",
    "test_registries_are_listed_filtered_ordered_and_paged": "its registries are not ordered",
    "test_collections_of_a_registry_are_listed_and_filtered": "its registries take no page size",
    "test_versions_of_a_registry_are_listed_and_filtered": "its registries take no page size",
    "test_versions_of_a_registry_are_ordered_with_advanced_search": "it has no advanced search",
    "test_a_registry_refuses_other_types_than_its_own": "it links in the background and only logs errors",
    "test_a_registry_is_edited_renamed_and_deleted": "its listings give the full names of registries",
    "test_aliases_tags_and_metadata_beyond_the_rules_are_refused": "it does not count the keys of metadata",
    "test_a_member_cannot_log_a_version_under_a_protected_alias": "its service keeps the key it was started with",
    "test_users_are_members_of_a_registry_with_a_role": _NO_MEMBERS,
    "test_teams_are_members_of_a_registry": _NO_MEMBERS,
}
