package main

import "slices"

// What is asked of a registry, and with whose credentials; how a revision is
// chosen, and where its signatures are looked for.
//
// Not here: that a referrer is read once, however often it is listed, for a set
// holds each digest once.
var registryMutants = slices.Concat(
	in("internal/registry/client.go",
		breaks("session-of-another-repository", `return sessionKey{c.repo.String(),`, `return sessionKey{"",`, "TestSessionIsNotShared"),
		breaks("session-of-another-protocol", `c.repo.insecure, c.credentials.id}`, `false, c.credentials.id}`, "TestSessionIsOfOneProtocol"),
		breaks("session-of-others-credentials", `c.repo.insecure, c.credentials.id}`, `c.repo.insecure, ""}`, "TestSessionIsNotShared"),
		breaks("redirects-constant", `maxRedirects = 5`, `maxRedirects = 6`, "TestRedirectsWithoutEnd"),
		breaks("session-kept-though-refused", `if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {`, `if response.StatusCode == http.StatusForbidden {`, "TestSessionIsForgotten"),
		breaks("no-referrers-for-ever", `return ok && c.pool.now().Before(until.(time.Time))`, `return ok && until != nil`, "TestReferrersMemory"),
	),
	in("internal/registry/credentials.go",
		breaks("credentials-to-longer-hosts", `strings.HasPrefix(full, place+"/")`, `strings.HasPrefix(full, place)`, "TestParseDockerConfig"),
		breaks("credentials-to-any-host", `return full == place || strings.HasPrefix`, `return full != "" || strings.HasPrefix`, "TestParseDockerConfig"),
		breaks("credentials-of-the-shortest", `len(place) > length {`, `len(place) < length || length < 0 {`, "TestParseDockerConfig"),
		breaks("credentials-none", `if auth == (authn.AuthConfig{}) {`, `if auth == (authn.AuthConfig{}) && best == "x" {`, "TestParseDockerConfig"),
		breaks("credentials-malformed", `if err != nil || !ok {`, `if err != nil && !ok {`, "TestParseDockerConfig"),
		breaks("credentials-not-told-apart", `strings.Join([]string{auth.Username, auth.Password,`, `strings.Join([]string{auth.Username,`, "TestSessionIsNotShared"),
		breaks("credentials-printed", `func (Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "(credentials)") }`, `func (c Credentials) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, fmt.Sprint(c.config)) }`, "TestCredentialsPrintAsPlaceholder"),
	),
	in("internal/registry/repository.go",
		breaks("url-of-any-form", `if !urlPattern.MatchString(url) {`, `if url == "" {`, "TestParseRepository"),
		breaks("url-open-at-the-end", `[a-z0-9]+)*)+$`, `[a-z0-9]+)*)+`, "TestParseRepository"),
		breaks("url-over-plain-http", `protocol := "https"`, `protocol := "http"`, "TestParseRepository"),
		breaks("url-over-https", `protocol = "http"`, `protocol = "https"`, "TestParseRepository"),
	),
	in("internal/registry/selector.go",
		breaks("selector-version-and-tag", `if version != "" && tag != "" {`, `if version != "" && tag == "x" {`, "TestSelectorRefuses"),
		breaks("selector-digest-of-any-form", `if digest != "" && !digestPattern.MatchString(digest) {`, `if digest == "x" {`, "TestSelectorRefuses"),
		breaks("selector-tag-of-any-form", `if tag != "" && !tagPattern.MatchString(tag) {`, `if tag == "x y" {`, "TestSelectorRefuses"),
		breaks("selector-tag-too-long", `{0,127}$`, `{0,128}$`, "TestSelectorRefuses"),
		breaks("filter-not-alone-first", `if _, err := regexp.Compile(filter); err != nil {`, `if _, err := regexp.Compile("(?:" + filter + ")"); err != nil {`, "TestSelectorRefuses"),
		breaks("filter-open-at-the-start", `regexp.Compile("^(?:" + filter + ")$")`, `regexp.Compile("(?:" + filter + ")$")`, "TestResolve"),
		breaks("filter-open-at-the-end", `regexp.Compile("^(?:" + filter + ")$")`, `regexp.Compile("^(?:" + filter + ")")`, "TestResolve"),
		breaks("filter-not-grouped", `regexp.Compile("^(?:" + filter + ")$")`, `regexp.Compile("^" + filter + "$")`, "TestSelectorHighest"),
		breaks("filter-of-nothing", `if s.exact == nil && s.constraint == nil {`, `if s.exact == nil && s.constraint == nil && filter == "" {`, "TestSelectorRefuses"),
		breaks("filter-ignored", `v == nil || !s.passes(tag) ||`, `v == nil ||`, "TestResolve"),
		breaks("constraint-ignored", `|| !s.constraint.Check(v) {`, `{`, "TestResolve"),
		breaks("constraint-misread", `strings.Contains(version, " - ") && tightOr.MatchString(version)`, `strings.Contains(version, " - ") && version == ""`, "TestSelectorRefuses"),
		breaks("constraint-lowest", `strings.Compare(tag, best)) > 0 {`, `strings.Compare(tag, best)) < 0 {`, "TestResolve"),
		breaks("constraint-by-order", `cmp.Or(v.Compare(bestVersion), strings.Compare(tag, best)) > 0 {`, `cmp.Or(v.Compare(bestVersion), len(tag)-len(best)) >= 0 {`, "TestSelectorHighest"),
		breaks("version-build-in-a-tag", `s.tag = strings.ReplaceAll(version, "+", "_")`, `s.tag = version`, "TestResolve"),
		breaks("version-of-two-parts", `v, err := semver.StrictNewVersion(strings.ReplaceAll(`, `v, err := semver.NewVersion(strings.ReplaceAll(`, "TestVersionOfTheSignedManifest"),
	),
	in("internal/registry/resolve.go",
		breaks("pin-answered-with-another", `if digestPattern.MatchString(reference) && digest != reference {`, `if digestPattern.MatchString(reference) && digest == "" {`, "TestHeadAnswers"),
		breaks("resolved-to-no-digest", `if !digestPattern.MatchString(digest) {`, `if digest == "" {`, "TestHeadAnswers"),
		breaks("exact-version-not-filtered", `if !s.passes(s.tag) {`, `if !s.passes(s.tag) && s.tag == "" {`, "TestResolve"),
		breaks("selected-nothing", `case s.ByDigest() && s.digest == "":`, `case s.ByDigest() && s.digest == "x":`, "TestZeroSelector"),
		breaks("tag-pages-one-more", `if page == maxTagPages ||`, `if page == maxTagPages+1 ||`, "TestTagPagesAreBounded"),
		breaks("tags-unbounded", `|| n > maxTags {`, `|| n > 2*maxTags {`, "TestTagPagesAreBounded"),
		breaks("tags-second-page", `n+len(tags), following`, `n+len(tags), following[:0]`, "TestResolve"),
		breaks("tags-of-the-last-page-alone", `s.highest(append(tags, best))`, `s.highest(tags)`, "TestPagesOfTagsThatAreFull|TestResolve"),
		breaks("tags-counted-by-page", `n+len(tags), following`, `len(tags), following`, "TestTagPagesAreBounded"),
		breaks("next-page-elsewhere", `if next.Host != c.repo.Host() ||`, `if next.Host == "" ||`, "TestTagPagesAreBounded"),
		breaks("next-page-over-another-protocol", `|| next.Scheme != here.Scheme {`, `|| next.Scheme == "" {`, "FuzzNextPage"),
		breaks("next-page-unbounded", `|| len(link) > maxLinkLength {`, `|| len(link) > 2*maxLinkLength {`, "TestTagPagesAreBounded"),
		breaks("next-page-malformed", `if !ok || err != nil ||`, `if !ok && target == "" || err != nil ||`, "TestLinkWithoutAnEnd"),
	),
	in("internal/registry/content.go",
		breaks("manifest-any-digest", `if digestPattern.MatchString(reference) && digestOf(body) != reference {`, `if digestPattern.MatchString(reference) && body == nil {`, "TestManifestIsBoundedAndCompared"),
		breaks("manifest-unbounded", `c.readAll(ctx, what, response.Body, maxManifestBytes)`, `c.readAll(ctx, what, response.Body, 2*maxManifestBytes)`, "TestManifestIsBoundedAndCompared"),
		breaks("memory-failure-unseen", `	c.failed = true`, `	c.failed = false`, "TestSuspects"),
		breaks("manifest-constant", `maxManifestBytes = 4 << 20`, `maxManifestBytes = 4<<20 + 1`, "TestManifestOfExactlyTheBound"),
		breaks("manifest-cut", `if int64(len(b)) > limit {`, `if b = b[:min(len(b), int(limit))]; int64(len(b)) > limit {`, "TestManifestIsBoundedAndCompared"),
		breaks("blob-any-digest", `found := "sha256:" + hex.EncodeToString(hash.Sum(nil)); found != digest {`, `found := "sha256:" + hex.EncodeToString(hash.Sum(nil)); found == "" {`, "TestBlobIsReadToItsEnd"),
		breaks("blob-longer", `case n > size:`, `case n > size+1:`, "TestFetchRefusesManifests"),
		breaks("blob-shorter", `case n < size:`, `case n < 0:`, "TestFetchRefusesManifests"),
		breaks("blob-error-is-content", `if response.StatusCode != http.StatusOK {`, `if response.StatusCode >= 500 {`, "TestBlobIsReadToItsEnd"),
		breaks("manifest-error-is-not-found", `case http.StatusNotFound:
		return nil, false, nil`, `case http.StatusNotFound, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError:
		return nil, false, nil`, "TestTagsOfSignaturesAnswers"),
		breaks("media-type-any", `return err == nil && found == string(want)`, `return err == nil && found != ""`, "TestReferrersAnswers"),
	),
	in("internal/registry/signatures.go",
		breaks("signatures-of-no-digest", `if !digestPattern.MatchString(digest) {
		return nil, errorf(RegistryUnavailable, "expected`, `if digest == "" {
		return nil, errorf(RegistryUnavailable, "expected`, "TestSignaturesOfWhatIsNoDigest"),
		breaks("signatures-one-more", `if len(layers)+len(bundles) > verify.MaxSignatures {`, `if len(layers)+len(bundles) > verify.MaxSignatures+1 {`, "TestReferrersAreBounded|TestCandidatesAreBounded|TestSignaturesThatAreStrange"),
		breaks("signatures-of-each-place", `if len(layers)+len(bundles) > verify.MaxSignatures {`, `if max(len(layers), len(bundles)) > verify.MaxSignatures {`, "TestListsThatAreCut"),
		breaks("cosign-layers-cut", `if manifest.Layers.more {
		return nil, s.tooMany()`, `if manifest.Layers.more && s == nil {
		return nil, s.tooMany()`, "TestListsThatAreCut"),
		breaks("bundle-layers-cut", `if manifest.Layers.more {
		return s.tooMany()`, `if manifest.Layers.more && s == nil {
		return s.tooMany()`, "TestListsThatAreCut"),
		breaks("signatures-of-manifests-unbounded", `if len(s.signatures) == verify.MaxSignatures {`, `if len(s.signatures) == 2*verify.MaxSignatures {`, "TestSignaturesThatAreStrange"),
		breaks("signature-unbounded", `if d.Size > maxSignatureBytes ||`, `if d.Size > 2*maxSignatureBytes ||`, "TestSignaturesThatAreStrange"),
		breaks("signatures-together-unbounded", `s.bytes+d.Size > maxSignaturesBytes {`, `s.bytes+d.Size > 2*maxSignaturesBytes {`, "TestSignaturesThatAreStrange"),
		breaks("signature-of-no-digest", `if !digestPattern.MatchString(d.Digest) || d.Size < 0 {`, `if d.Size < 0 {`, "TestSignaturesThatAreStrange"),
		breaks("signature-of-a-negative-size", `if !digestPattern.MatchString(d.Digest) || d.Size < 0 {`, `if !digestPattern.MatchString(d.Digest) {`, "TestSignaturesThatAreStrange"),
		breaks("cosign-layer-of-any-type", `return d.MediaType != mediaType`, `return d.MediaType == ""`, "TestSignaturesThatAreStrange"),
		breaks("bundles-not-looked-for", `return referrers.sorted(), nil`, `return referrers.sorted()[:0], nil`, "TestSignaturesOfBothFormats"),
		breaks("candidate-any-media-type", `if d.MediaType != string(types.OCIManifestSchema1) ||`, `if d.MediaType == "" ||`, "TestIsCandidate"),
		breaks("candidate-any-digest", `|| !digestPattern.MatchString(d.Digest) {
		return false`, `|| d.Digest == "x" {
		return false`, "TestIsCandidate"),
		breaks("candidate-any-artifact-type", `&& !strings.HasPrefix(d.ArtifactType, bundleMediaTypePrefix) {`, `&& d.ArtifactType == "" {`, "TestIsCandidate"),
		breaks("candidate-not-of-an-empty-config", `d.ArtifactType != emptyConfigMediaType &&`, ``, "TestSignaturesOfBothFormats"),
		breaks("candidate-though-attestation", `return !isAttestation(d.Annotations)`, `return d.MediaType != ""`, "TestIsCandidate"),
		breaks("attestation-never", `return predicateType != verify.SignPredicateType`, `return predicateType == ""`, "TestSignaturesOfBothFormats"),
		breaks("attestation-always", `return predicateType != verify.SignPredicateType`, `return predicateType != ""`, "TestSignaturesOfBothFormats"),
		breaks("attestation-of-any-type", `json.Unmarshal(annotations[predicateTypeAnnotation], &predicateType) != nil {`, `json.Unmarshal(annotations[predicateTypeAnnotation], &predicateType) != nil && annotations[predicateTypeAnnotation] == nil {`, "TestIsCandidate"),
		breaks("bundle-manifest-attestation", `if manifest == nil || isAttestation(manifest.Annotations) {`, `if manifest == nil {`, "TestSignaturesThatAreStrange"),
		breaks("bundle-manifest-gone", `	if !found {
		return errorf(`, `	if !found {
		return nil
	}
	if body == nil {
		return errorf(`, "TestSignaturesThatAreStrange"),
		breaks("bundle-layer-of-any-type", `if !strings.HasPrefix(l.MediaType, bundleMediaTypePrefix) {`, `if l.MediaType == "" {`, "TestOtherLayersAreNoBundles"),
		breaks("referrers-one-page-more", `if page == maxReferrerPages ||`, `if page == maxReferrerPages+1 ||`, "TestReferrersAreBounded"),
		breaks("referrers-unbounded", `|| all.listed > maxReferrers {`, `|| all.listed > 2*maxReferrers {`, "TestReferrersAreBounded"),
		breaks("referrers-of-the-tag-unbounded", `if index.listed > maxReferrers {`, `if index.listed > 2*maxReferrers {`, "TestReferrersOfTheTagAreBounded"),
		breaks("referrers-second-page", `next = following`, `next = following[:0]`, "TestReferrersOfASecondPage"),
		breaks("referrers-page-lost", `if !supported && page > 0 {`, `if !supported && page > 100 {`, "TestReferrersOfASecondPage"),
		breaks("referrers-error-is-no-api", `case http.StatusNotFound, http.StatusBadRequest, http.StatusNotAcceptable:`, `case http.StatusNotFound, http.StatusBadRequest, http.StatusNotAcceptable, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable:`, "TestReferrersAnswers"),
		breaks("referrers-of-any-type", `if !isMediaType(response.Header, types.OCIImageIndex) {`, `if response.Body == nil {`, "TestReferrersAnswers"),
		breaks("referrers-unreadable", `if index == nil {
		return`, `if index == nil && body == nil {
		return`, "TestReferrersAnswers"),
		breaks("fallback-tag-not-asked", `return s.fallbackTag(ctx)
		}`, `return all, nil
		}`, "TestReferrersAnswers"),
	),
	in("internal/registry/lists.go",
		breaks("tags-kept-twice-as-many", `if len(*l) <= maxTags {`, `if len(*l) <= 2*maxTags {`, "TestListsAreBoundedInMemory"),
		breaks("tags-kept-too-few", `if len(*l) <= maxTags {`, `if len(*l) < maxTags {`, "TestTagPagesAreBounded|TestListsAreBoundedInMemory"),
		breaks("layers-kept-one-more", `if len(l.first) < maxManifestLayers {`, `if len(l.first) <= maxManifestLayers {`, "TestListsAreBoundedInMemory"),
		breaks("layers-more-unknown", `l.more = true`, `l.more = false`, "TestListsThatAreCut"),
		breaks("candidates-anything", `if isCandidate(d) {`, `if d.Digest != "" {`, "TestReferrersAreBounded"),
		breaks("candidates-one-more", `if len(*digests) < maxCandidates {`, `if len(*digests) <= maxCandidates {`, "TestCandidatesAreBounded|TestListsAreBoundedInMemory"),
		breaks("candidates-not-too-many", `maxCandidates = verify.MaxSignatures + 1`, `maxCandidates = verify.MaxSignatures`, "TestCandidatesAreBounded|TestReferrersAreBounded"),
		breaks("referrers-of-the-last-page-counted", `l.listed += page.listed`, `l.listed = page.listed`, "TestReferrersAreBounded"),
		breaks("referrers-of-a-page-lost", `for digest := range page.digests {
		keep(&l.digests, digest)`, `for digest := range page.digests {
		l.digests = nil
		keep(&l.digests, digest)`, "TestReferrersOfASecondPage|TestPagesOfReferrersAreRead"),
		breaks("bundles-in-any-order", `slices.Sorted(maps.Keys(digests))`, `slices.Collect(maps.Keys(digests))`, "TestOrderOfBundles"),
		breaks("list-that-is-none", `if len(b) == 0 || b[0] != '[' {`, `if len(b) == 0 {`, "TestListsThatAreNone"),
	),
	in("internal/registry/memory.go",
		breaks("memory-twice-for-a-host", `if holds || `, `if holds && host == "" || `, "TestLargeBodies"),
		breaks("memory-for-one-more", `len(l.holders) >= largeAttempts`, `len(l.holders) > largeAttempts`, "TestLargeBodies"),
		breaks("memory-for-suspects", ` || (suspect && suspects >= suspectAttempts) {`, ` {`, "TestLargeBodies"),
		breaks("memory-suspects-are-the-good", `	if failed {`, `	if !failed {`, "TestLargeBodies"),
		breaks("memory-of-twice-as-much", `c.held += n; c.held <= smallBytes`, `c.held += n; c.held <= 2*smallBytes`, "TestMemoryOfManyAttempts|TestMemoryIsDropped"),
		breaks("memory-not-given-back", `c.held -= int64(n); c.held <= smallBytes {`, `c.held -= int64(n); c.held <= 0-smallBytes {`, "TestMemoryIsDropped"),
		breaks("memory-not-counted", `h.c.hold(h.ctx, int64(n))`, `h.c.hold(h.ctx, 0)`, "TestMemoryOfManyAttempts"),
	),
)
