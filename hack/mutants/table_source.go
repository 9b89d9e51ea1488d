package main

// The order of the steps. That nothing is published without a verdict is not
// only theirs: see zero-is-a-proof, fetch-unverified and publish-unverified.
var sourceMutants = in("internal/source/sync.go",
	breaks("pin-not-compared", `pin != "" && revision.Digest != pin {`, `pin != "" && revision.Digest == "" {`, "TestPinOfATag"),
	breaks("pin-after-unchanged", `pin != "" && revision.Digest != pin {`, `pin != "" && revision.Digest != pin && revision != r.Current {`, "TestPinOfWhatIsPublished"),
	breaks("unchanged-by-digest", `if revision == r.Current {`, `if revision.Digest == r.Current.Digest {`, "TestSyncOfAPin"),
	breaks("unchanged-never", `if revision == r.Current {`, `if revision == r.Current && revision.Digest == "" {`, "TestSync"),
	breaks("verdict-ignored", `if o.Verified, err = s.Judge(r.Policy, revision.Digest, signatures); err != nil {`, `if o.Verified, err = s.Judge(r.Policy, revision.Digest, signatures); err != nil && signatures == nil {`, "TestNothingIsPublishedWithAnError"),
	breaks("signatures-error-is-none", `		return o, fail(StepSignatures, err)`, `		signatures = nil`, "TestNothingIsPublishedWithAnError"),
	breaks("fetch-error-ignored", `	if err != nil {
		return o, fail(StepFetch, err)
	}
	if o.Published`, `	if err != nil && content.Layers == nil && dir == "" {
		return o, fail(StepFetch, err)
	}
	if o.Published`, "TestNothingIsPublishedWithAnError"),
	breaks("publish-error-ignored", `		return o, fail(StepPublish, err)`, `		o.Published = artifact.Published{}`, "TestNothingIsPublishedWithAnError"),
	breaks("judge-error-without-step", `return verify.Verified{}, fail(StepVerify, err)`, `return verify.Verified{}, err`, "TestNothingIsPublishedWithAnError"),
	breaks("rebuild-without-asking", `_, err = s.resolve(ctx, client, r)`, `_ = ctx`, "TestRebuildOfWhatIsGone"),
	breaks("rebuild-what-the-tag-names", `		r.Selector = pin
`, `		_ = pin
`, "TestSync"),
	breaks("pinned-asked-again", `ok && pinned == r.Current {`, `ok && pinned == r.Current && pinned.Digest == "" {`, "TestSyncOfAPin"),
	breaks("pinned-never-asked", `ok && pinned == r.Current {`, `ok {`, "TestRebuildOfWhatIsGone"),
)
