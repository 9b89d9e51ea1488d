package main

import "slices"

// What stands around a signature: log, times, certificate and its SCT; and the
// trusted root that says whose they must be.
//
// Not here: whether the entry's log is known (logged), which sigstore-go asks
// again; and the comparison of the entry's signature and key at the end of isOf,
// which sigstore-go makes too, but for the entries that isOf refuses before.
var termsMutants = slices.Concat(
	in("internal/verify/terms.go",
		breaks("log-not-required", `if t.log == LogRequire && len(entries) == 0 {`, `if t.log == LogRequire && len(entries) < 0 {`, "TestFixturesUnderATrustedRoot"),
		breaks("log-not-asked", `if t.log == LogRequire {`, `if t.log == "" {`, "TestEarliestEntry"),
		breaks("log-entry-not-verified", `		return nil, nil, &shortfall{wronglyLogged, spliced}`, `		times = nil`, "TestKeylessRefuses"),
		breaks("log-entry-alone-not-verified", `if err != nil || !isOf(entry, e, material) {`, `if !isOf(entry, e, material) {`, "TestKeylessAccepts"),
		breaks("log-entry-of-another", `if err != nil || !isOf(entry, e, material) {`, `if err != nil {`, "TestProvenIndex"),
		breaks("log-entry-v2-as-v1", `if entry.IsRekorV2() && rekor1Origin.MatchString(checkpoint) {`, `if entry.IsRekorV2() && checkpoint == "" {`, "TestProvenIndex"),
		breaks("log-retired", `&& !logs[found.LogID].ValidityPeriodEnd.IsZero() {`, `&& logs == nil {`, "TestKeyOfARetiredLog"),
		breaks("log-retired-though-stamped", `if found.IntegratedTime.IsZero() && !stamped &&`, `if found.IntegratedTime.IsZero() &&`, "TestKeyOfARetiredLog"),
		breaks("log-unproven-index", `if entry.HasInclusionPromise() || entry.IsRekorV2() {`, `if entry != nil {`, "TestProvenIndex"),
		breaks("log-latest-entry", `if best == nil || found.before(best) {`, `if best == nil || !found.before(best) {`, "TestEarliestEntry"),
		breaks("log-time-not-used", `p.times = slices.Concat(p.stamps, promised)`, `p.times = slices.Concat(p.stamps, promised[:0])`, "TestEarliestEntry"),
		breaks("untimed", `if len(p.times) == 0 {`, `if len(p.times) < 0 {`, "TestFixturesUnderATrustedRoot"),
		breaks("stamps-not-asked", `case len(stamps) == 0 || !t.root.hasTimestamper():`, `case len(stamps) == 0 || t.root != nil:`, "TestProvenIndex"),
		breaks("stamps-not-verified", `	if len(times) == 0 {`, `	if len(times) < 0 {`, "TestFixturesUnderOtherRoots"),
		breaks("stamps-by-others-spoil", `		if err != nil {
			continue`, `		if err != nil {
			return nil, &shortfall{untimed, ""}`, "TestTimestampBesideAnother"),
		breaks("stamps-of-the-first-alone", `for _, stamp := range stamps {`, `for _, stamp := range stamps[:1] {`, "TestWindow"),
		breaks("times-of-the-first-entry", `promised = append(promised, found.IntegratedTime)`, `promised = append(promised, found.IntegratedTime)[:1]`, "TestWindow"),
		breaks("times-without-stamps", `p.times = slices.Concat(p.stamps, promised)`, `p.times = slices.Concat(p.stamps[:0], promised)`, "TestWindow"),
		breaks("stamps-ignored-beside-a-log", `p.material = t.material(p.stamps)`, `p.material = t.material(nil)`, "TestTwoTimestamps"),
		breaks("stamps-no-evidence", `p.times = p.stamps`, `p.times = nil`, "TestWindow"),
		breaks("certificate-not-verified", `return p, certified(e, p)`, `return p, nil`, "TestTwoTimestamps"),
		breaks("certificate-at-the-first-time", `for i, at := range p.times {`, `for i, at := range p.times[:1] {`, "TestTwoTimestamps"),
		breaks("certificate-at-the-last-time", `for i, at := range p.times {`, `for i, at := range p.times[len(p.times)-1:] {`, "TestTwoTimestamps"),
		breaks("certificate-when-expired", `case err != nil && (at.Before(leaf.NotBefore) || at.After(leaf.NotAfter)):`, `case err != nil && (at.Before(leaf.NotBefore) || at.After(leaf.NotAfter)):
			continue`, "TestTwoTimestamps"),
		breaks("certificate-by-anybody", `		case err != nil:
			return &shortfall{uncertified, "no authority`, `		case err != nil:
			continue
		case err != nil:
			return &shortfall{uncertified, "no authority`, "TestFixturesUnderOtherRoots"),
		breaks("sct-not-asked", `case len(p.material.CTLogs()) == 0:`, `case len(p.material.CTLogs()) >= 0:`, "TestFixturesUnderOtherRoots"),
		breaks("sct-not-verified", `err := sigstore.VerifySignedCertificateTimestamp(chains, 1, p.material); err != nil {`, `err := sigstore.VerifySignedCertificateTimestamp(chains, 1, p.material); err != nil && chains == nil {`, "TestFixturesUnderOtherRoots"),
		breaks("key-not-that-of-the-terms", `m = materialWithKey{`, `_ = materialWithKey{`, "TestVerifiedByTheKey"),
	),
	in("internal/verify/trustedroot.go",
		breaks("root-bytes-one-more", `if len(raw) > MaxTrustedRootBytes {`, `if len(raw) > MaxTrustedRootBytes+1 {`, "TestTrustedRootOfExactlyTheBound"),
		breaks("root-of-any-media-type", `|| message.GetMediaType() != root.TrustedRootMediaType01 {`, `|| message.GetMediaType() == "" {`, "TestParseTrustedRootRefuses"),
		breaks("root-parts-one-more", `if n > maxRootParts {`, `if n > maxRootParts+1 {`, "TestRootBounds"),
		breaks("root-empty", `if parts == 0 {`, `if parts < 0 {`, "TestParseTrustedRootRefuses"),
		breaks("root-immodest", `if !modestRoot(message) {`, `if !modestRoot(message) && parts == 0 {`, "TestRootsWithLargeKeysAreRefused"),
		breaks("root-immodest-certificate", `if boundCertificate(c.GetRawBytes()) != nil {`, `if boundCertificate(nil) != nil && c != nil {`, "TestRootsWithLargeKeysAreRefused"),
		breaks("root-immodest-key", `x509.ParsePKIXPublicKey(der); err == nil && !modest(k) {`, `x509.ParsePKIXPublicKey(der); err == nil && k == nil {`, "TestRootsWithLargeKeysAreRefused"),
		breaks("root-immodest-pkcs1-key", `x509.ParsePKCS1PublicKey(der); err == nil && !modest(k) {`, `x509.ParsePKCS1PublicKey(der); err == nil && k == nil {`, "TestRootsWithLargeKeysAreRefused"),
		breaks("root-hash-of-the-text", `sum := sha256.Sum256(canonical)`, `sum := sha256.Sum256(append(raw[:len(raw):len(raw)], canonical...))`, "TestTrustedRootHash"),
		breaks("root-hash-of-nothing", `sum := sha256.Sum256(canonical)`, `sum := sha256.Sum256(canonical[:0])`, "TestTrustedRootHash"),
		breaks("root-log-too-early", `early := !log.ValidityPeriodStart.IsZero() && t.Before(log.ValidityPeriodStart)`, `early := false`, "TestKeylessRefuses"),
		breaks("root-log-too-late", `late := !log.ValidityPeriodEnd.IsZero() && t.After(log.ValidityPeriodEnd)`, `late := false`, "TestKeylessAccepts"),
		breaks("root-log-at-some-time", `inUse = inUse && !early && !late`, `inUse = !early && !late`, "TestTwoTimestamps"),
	),
)
