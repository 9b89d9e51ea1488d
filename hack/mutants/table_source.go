package main

import "slices"

// The order of the steps, what a release is held against, and who may be at
// work. That nothing is published without a verdict is not only the order's: see
// zero-is-a-proof, fetch-unverified and publish-unverified.
var sourceMutants = slices.Concat(
	in("internal/source/sync.go",
		breaks("pin-not-compared", `pin != "" && revision.Digest != pin {`, `pin != "" && revision.Digest == "" {`, "TestPinOfATag"),
		breaks("pin-after-unchanged", `pin != "" && revision.Digest != pin {`, `pin != "" && revision.Digest != pin && revision != r.Current {`, "TestPinOfWhatIsPublished"),
		breaks("unchanged-by-digest", `if revision == r.Current {`, `if revision.Digest == r.Current.Digest {`, "TestSyncOfAPin"),
		breaks("unchanged-never", `if revision == r.Current {`, `if revision == r.Current && revision.Digest == "" {`, "TestSync"),
		breaks("verdict-ignored", `	return o, signatures, err
`, `	return o, signatures, nil
`, "TestNothingIsPublishedWithAnError"),
		breaks("signatures-error-is-none", `		return o, nil, fail(StepSignatures, err)`, `		signatures = nil`, "TestNothingIsPublishedWithAnError"),
		breaks("fetch-error-ignored", `	if err != nil {
		return o, fail(StepFetch, err)
	}
	giveBack`, `	if err != nil && content.Layers == nil && dir == "" {
		return o, fail(StepFetch, err)
	}
	giveBack`, "TestNothingIsPublishedWithAnError"),
		breaks("publish-error-ignored", `		return o, fail(StepPublish, err)`, `		o.Published = artifact.Published{}`, "TestNothingIsPublishedWithAnError"),
		breaks("judge-error-without-step", `return verify.Verified{}, fail(StepVerify, err)`, `return verify.Verified{}, err`, "TestNothingIsPublishedWithAnError"),
		breaks("rebuild-without-asking", `_, err = s.resolve(ctx, client, r)`, `_ = ctx`, "TestRebuildOfWhatIsGone"),
		breaks("rebuild-what-the-tag-names", `		r.Selector = pin
`, `		_ = pin
`, "TestSync"),
		breaks("pinned-asked-again", `ok && pinned == r.Current {`, `ok && pinned == r.Current && pinned.Digest == "" {`, "TestSyncOfAPin"),
		breaks("pinned-never-asked", `ok && pinned == r.Current {`, `ok {`, "TestRebuildOfWhatIsGone"),
		breaks("verdict-without-an-end", `s.judge(ctx, ctx.Done(), r.Policy`, `s.judge(ctx, nil, r.Policy`, "TestVerdictEndsWithTheAttempt"),
		breaks("verdict-not-stopped", `func() bool { return isClosed(done) }`, `func() bool { return false }`, "TestVerdictEndsWithTheAttempt"),
		breaks("kept-judged-with-an-end", `return s.judge(ctx, nil, policy, digest, kept)`, `return s.judge(ctx, func() chan struct{} { c := make(chan struct{}); close(c); return c }(), policy, digest, kept)`, "TestJudge|TestJudgeWaitsForItsSlot"),
		breaks("signatures-too-late", `if err == nil && ctx.Err() != nil {`, `if err == nil && ctx.Err() != nil && r.Policy.Threshold < 0 {`, "TestVerdictEndsWithTheAttempt"),
		breaks("releases-not-checked", `if err := r.Releases.check(revision); err != nil {`, `if err := r.Releases.check(revision); err != nil && revision.Digest == "" {`, "TestReleasesAreAskedFirst"),
		breaks("releases-after-unchanged", `if err := r.Releases.check(revision); err != nil {`, `if err := r.Releases.check(revision); err != nil && revision != r.Current {`, "TestReleasesAreAskedFirst"),
		breaks("releases-before-the-pin", `pin != "" && revision.Digest != pin {`, `pin != "" && revision.Digest != pin && r.Releases.check(revision) == nil {`, "TestReleasesAreAskedFirst"),
		breaks("slot-not-given-back-by-verdicts", `	defer giveBack()
	_, end := s.begin`, `	_ = giveBack
	_, end := s.begin`, "TestSlotsAreWaitedFor"),
		breaks("slot-not-needed-to-publish", `giveBack, ok := s.Slots.take(ctx.Done())
	if !ok {
		return o, busy(StepPublish)`, `giveBack, ok := func() {}, true
	if !ok {
		return o, busy(StepPublish)`, "TestPublishingWaitsForItsSlot"),
	),
	in("internal/source/once.go",
		breaks("check-without-its-manifest", `	if o.Annotations, err = client.Check(ctx, o.Verified, revision); err != nil {`, `	if o.Annotations, err = client.Check(ctx, o.Verified, revision); err != nil && revision.Digest == "" {`, "TestOnce"),
		breaks("pull-error-ignored", `		return o, registry.Content{}, fail(StepFetch, err)`, `		return o, content, nil`, "TestOnce"),
	),
	in("internal/source/release.go",
		breaks("version-of-a-tag", `	if version == nil {
		return nil
	}`, `	if version == nil {
		return &Error{}
	}`, "TestReleases"),
		breaks("version-not-seen-before", `; ok && before != revision.Digest`, `; (ok || before == "") && before != revision.Digest`, "TestReleases"),
		breaks("version-moved", `ok && before != revision.Digest`, `ok && before == ""`, "TestReleases"),
		breaks("version-that-stayed", `ok && before != revision.Digest`, `ok`, "TestReleases"),
		breaks("version-by-its-tag", `r.Verified[version.String()]`, `r.Verified[revision.Version]`, "TestReleases"),
		breaks("digest-accepted-for-nothing", ` && r.Accepted != revision.Digest {`, ` {`, "TestReleases"),
		breaks("digest-accepted-any", ` && r.Accepted != revision.Digest {`, ` && r.Accepted == "" {`, "TestReleases"),
		breaks("rollback-never", `r.Published != nil && version.LessThan(r.Published)`, `r.Published != nil && version == nil`, "TestReleases"),
		breaks("rollback-to-the-same", `version.LessThan(r.Published)`, `!version.GreaterThan(r.Published)`, "TestReleases"),
		breaks("rollback-forwards", `version.LessThan(r.Published)`, `version.GreaterThan(r.Published)`, "TestReleases"),
		breaks("rollback-of-accepted", `r.Published != nil && version`, `r.Published != nil && r.Accepted == "" && version`, "TestReleases"),
	),
	in("internal/source/slots.go",
		breaks("slot-where-there-is-none", `return nil, false`, `return func() {}, true`, "TestSlots|TestSlotsAreWaitedFor|TestJudgeWaitsForItsSlot"),
		breaks("slot-only-if-waited-for", `	select {
	case s.taken <- struct{}{}:
		return giveBack, true
	default:
	}
`, ``, "TestSlotThatIsFree"),
		breaks("slot-for-ever", `giveBack = func() { <-s.taken }`, `giveBack = func() {}`, "TestSlots|TestSlotsAreWaitedFor"),
	),
)
