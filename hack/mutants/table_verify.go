package main

import "slices"

// The verdict itself: what a signature is over, who made it, and how many must.
//
// Not here, because two defences stand one behind the other and the first alone
// is seen: what the libraries are told to demand of logs, timestamps and SCTs
// (verifierOptions, cosign.CheckOpts), which establish has demanded before. Of
// both, the first is broken below. Nor annotations that are no object, which
// have no signature either; several certificates in one annotation, which are
// counted again once they are read; and a certificate in a bundle that a key
// must have made, which leads to no root under a key.
var verifyMutants = slices.Concat(
	in("internal/verify/verify.go",
		breaks("policy-not-validated", `if err := j.policy.Validate(); err != nil {`, `if err := j.policy.Validate(); err != nil && j.policy.Threshold < 0 {`, "TestInvalidPolicies"),
		breaks("judged-one-more", `if len(signatures) > MaxSignatures {`, `if len(signatures) > MaxSignatures+1 {`, "TestTooManySignatures"),
		breaks("digest-of-any-algorithm", `if j.digest.Algorithm != "sha256" {`, `if j.digest.Algorithm == "" {`, "TestDigestsOfOtherAlgorithms"),
		breaks("digest-not-parsed", `if j.digest.Algorithm != "sha256" {`, `if j.digest.Algorithm != "sha256" && j.digest.Algorithm != "" {`, "TestDigestIsASHA256"),
		breaks("repeats-without-format", `[3]string{string(s.Format), string(s.Payload), string(s.Annotations)}`, `[3]string{string(s.Payload), string(s.Annotations)}`, "TestRepeatedBytesAreOfOneFormat"),
		breaks("repeats-without-payload", `[3]string{string(s.Format), string(s.Payload), string(s.Annotations)}`, `[3]string{string(s.Format), string(s.Annotations)}`, "TestEvidenceOfSeveral"),
		breaks("repeats-without-annotations", `[3]string{string(s.Format), string(s.Payload), string(s.Annotations)}`, `[3]string{string(s.Format), string(s.Payload)}`, "TestThreshold"),
		breaks("threshold-of-one", `if len(signers) < j.policy.Threshold {`, `if len(signers) < min(j.policy.Threshold, 1) {`, "TestThreshold"),
		breaks("threshold-one-less", `if len(signers) < j.policy.Threshold {`, `if len(signers)+1 < j.policy.Threshold {`, "TestThreshold"),
		breaks("threshold-of-signers", `if len(signers) < j.policy.Threshold {`, `if n := func() (n int) { for _, s := range j.satisfied { n += len(s) }; return n }(); n < j.policy.Threshold {`, "TestThreshold"),
		breaks("keyless-log-never", `t := terms{root: a.Root, log: a.TransparencyLog}`, `t := terms{root: a.Root, log: LogIgnore}`, "TestEvidenceOfSeveral"),
		breaks("keyless-log-always", `t := terms{root: a.Root, log: a.TransparencyLog}`, `t := terms{root: a.Root, log: LogRequire}`, "TestFixturesUnderATrustedRoot"),
		breaks("keyless-terms-shared", `if _, ok := certificates[t]; !ok {`, `if _, ok := certificates[t]; !ok && len(certificates) == 0 {`, "TestTermsAreEachAuthoritys"),
		breaks("denied-not-asked", `denial != nil {`, `denial != nil && len(signatures) == 0 {`, "TestDeniedDigest"),
		breaks("denied-after-too-many", `if denial := j.policy.Denial(digest); denial != nil {`, `if len(signatures) > MaxSignatures {
		return nil, &TooManySignaturesError{Found: len(signatures)}
	}
	if denial := j.policy.Denial(digest); denial != nil {`, "TestDeniedDigest"),
		breaks("denied-by-an-invalid-policy", `if err := j.policy.Validate(); err != nil {`, `if err := j.policy.Validate(); err != nil && !j.policy.denies(digest) {`, "TestInvalidDeniedDigests|TestDeniedDigest"),
		breaks("stopped-is-judged", `if j.stopped {`, `if j.stopped && len(signatures) == 0 {`, "TestStopped"),
		breaks("stop-not-asked-for-a-signature", `	if j.ends() {
		return best
	}
	c, err`, `	c, err`, "TestStopIsAsked"),
		breaks("stop-not-asked-for-an-authority", `		if j.ends() {
			return best
		}
		var found`, `		var found`, "TestStopIsAsked"),
		breaks("stop-asked-again", `j.stopped = j.stopped || j.stop()`, `j.stopped = j.stop()`, "TestStoppedOnce"),
		breaks("stopped-from-the-start", `return Until(func() bool { return false },`, `return Until(func() bool { return true },`, "TestGoodAmongBad"),
		breaks("stopped-without-its-panics", `Panics: j.faults}
`, `Panics: 0}
`, "TestPanicsOverMaterial"),
		breaks("panic-stands-as-nothing", `if j.faults > before {`, `if j.faults < before {`, "TestPanics|TestPanicsBesideOthers|TestPanicsOfOurOwn"),
		breaks("panics-not-in-the-proof", `panics: j.faults}, nil`, `panics: 0}, nil`, "TestPanicsBesideOthers|TestPanics"),
		breaks("panic-of-ours-goes-on", `if recover() != nil {`, `if digest == "" && recover() != nil {`, "TestPanicsOfOurOwn"),
		breaks("root-not-blamed-for-time", `found.standing == untimed || `, ``, "TestWindow"),
		breaks("root-blamed-for-the-window", `found.standing == untimed || `, `found.standing == untimed || found.standing == mistimed || `, "TestWindow"),
	),
	in("internal/verify/judge.go",
		breaks("key-anybodys", `case wrongKey:`, `case result(-1):`, "TestRefusedUnderAnotherKey"),
		breaks("key-over-any-digest", `case wrongDigest:`, `case result(-1):`, "TestRefusedOverAnotherDigest"),
		breaks("key-log-never", `if !a.needsRoot() {`, `if !a.needsRoot() || len(a.Keys) > 0 {`, "TestFixturesUnderATrustedRoot"),
		breaks("key-log-not-read", `t := terms{key: bare.key, root: a.Root, log: a.TransparencyLog}`, `t := terms{key: bare.key, root: a.Root, log: LogIgnore}`, "TestFixturesUnderATrustedRoot"),
		breaks("key-log-not-established", `return fallsShort(err)`, `return finding{standing: satisfying}`, "TestFixturesUnderATrustedRoot"),
		breaks("certificate-without-its-surroundings", `return certificateFinding{finding: fallsShort(err)}`, `return certificateFinding{verdict: accepted}`, "TestFixturesUnderATrustedRoot"),
		breaks("certificate-claims-unread", `return certificateFinding{finding: finding{uncertified, "of its certificate, " + err.Error()}}`, `who = claims{}`, "TestKeylessRefuses"),
		breaks("certificate-of-another-signature", `if verdict == wrongKey {`, `if verdict == result(-1) {`, "TestKeylessRefuses"),
		breaks("identity-anybodys", `allowed := slices.ContainsFunc(`, `allowed := len(a.Identities) > 0 || slices.ContainsFunc(`, "TestKeylessRefuses"),
		breaks("identity-over-any-digest", `case allowed && c.verdict == accepted:`, `case allowed:`, "TestFixturesUnderATrustedRoot"),
		breaks("key-and-its-certificate-are-two", `if slices.Contains(a.fingerprints(), key) {`, `if slices.Contains(a.fingerprints(), key+"x") {`, "TestCertificateForAKeyOfThePolicy"),
		breaks("evidence-of-the-last", `!ok || s.before(known) {`, `!ok || !s.before(known) {`, "TestEvidenceOfSeveral"),
		breaks("stop-not-asked-for-a-key", `if j.ends() {`, `if j == nil {`, "TestStopIsAsked"),
		breaks("window-not-of-keys", `return a.timely(p.times)`, `return finding{standing: satisfying}`, "TestWindow"),
		breaks("window-of-keys-by-timestamps", `return a.timely(p.times)`, `return a.timely(p.stamps)`, "TestWindow"),
		breaks("window-not-of-identities", `found.standing != satisfying {
			return found`, `found.standing == attestation {
			return found`, "TestWindow"),
		breaks("window-of-identities-by-timestamps", `a.timely(c.proof.times)`, `a.timely(c.proof.stamps)`, "TestWindow"),
		breaks("evidence-without-its-times", `signer.Log, signer.SignedTimestamp = p.log, earliest(p.stamps)`, `signer.Log = p.log`, "TestKeyEvidence|TestEarliestEvidence|TestKeyWithLog"),
		breaks("evidence-of-the-latest-time", `return slices.MinFunc(times, time.Time.Compare)`, `return slices.MaxFunc(times, time.Time.Compare)`, "TestEarliestEvidence|TestTwoTimestamps|TestEarliestEntry"),
	),
	in("internal/verify/guard.go",
		breaks("guard-none", `if recover() != nil {`, `if faults == nil && recover() != nil {`, "TestGuarded|TestPanics"),
		breaks("guard-counts-nothing", `*faults++`, `*faults += 0`, "TestGuarded"),
		breaks("guard-finds-nothing-wrong", `found = finding{standing: faulted}`, `found = finding{standing: satisfying}`, "TestGuarded"),
		breaks("guard-of-ours-counts-nothing", `j.faults++`, `j.faults += 0`, "TestPanicsOfOurOwn"),
	),
	in("internal/verify/threshold.go",
		breaks("match-greedy", `if !held || assign(holder, tried) {`, `if !held || holder < 0 {`, "TestThreshold|TestThresholdAgainstBruteForce"),
		breaks("match-steals", `if !held || assign(holder, tried) {`, `if assign != nil || held || holder > 0 {`, "TestThreshold|TestThresholdAgainstBruteForce"),
		breaks("match-first-only", `for i := range satisfied {
		assign(`, `for i := range satisfied[:1] {
		assign(`, "TestThreshold"),
	),
	in("internal/verify/verified.go",
		breaks("signer-per-authority", `encode([]string{s.KeyFingerprint, s.Issuer, s.Subject})`, `encode([]string{s.KeyFingerprint, s.Issuer, s.Subject, s.Authority})`, "TestFixturesThreshold"),
		breaks("signer-per-format", `encode([]string{s.KeyFingerprint, s.Issuer, s.Subject})`, `encode([]string{s.KeyFingerprint, s.Issuer, s.Subject, string(s.Format)})`, "TestFixturesThreshold"),
		breaks("signer-without-key", `encode([]string{s.KeyFingerprint, s.Issuer, s.Subject})`, `encode([]string{s.Issuer, s.Subject})`, "TestThreshold"),
		breaks("signer-without-issuer", `encode([]string{s.KeyFingerprint, s.Issuer, s.Subject})`, `encode([]string{s.KeyFingerprint, s.Subject})`, "TestWhoIsAnotherSigner"),
		breaks("signer-without-subject", `encode([]string{s.KeyFingerprint, s.Issuer, s.Subject})`, `encode([]string{s.KeyFingerprint, s.Issuer})`, "TestWhoIsAnotherSigner"),
		breaks("zero-is-a-proof", `func (v Verified) IsZero() bool { return v.digest == "" }`, `func (v Verified) IsZero() bool { return v.digest == "x" }`, "TestZeroVerified"),
		breaks("signers-shared", `slices.Clone(v.signers)`, `slices.Clip(v.signers)`, "TestSignersAreTheCallers"),
	),
	in("internal/verify/standing.go",
		breaks("reason-of-the-nearest", `if other.standing > f.standing ||`, `if other.standing < f.standing ||`, "TestReasonIsThatOfTheFurthest"),
		breaks("reason-mistimed-below", `	overOthers                     // over something else, by who may sign
	mistimed                       // over this digest, by who may sign, not at that time`, `	mistimed                       // over this digest, by who may sign, not at that time
	overOthers                     // over something else, by who may sign`, "TestStandingOfTheMistimed"),
	),
	in("internal/verify/cosign.go",
		breaks("cosign-any-digest", `if err := cosign.SimpleClaimVerifier(s, h, a); err != nil {`, `if err := cosign.SimpleClaimVerifier(s, h, a); err != nil && s == nil {`, "TestCosignPayloads"),
		breaks("cosign-any-payload-type", `if p.Critical.Type != payload.CosignSignatureType {`, `if p.Critical.Type == "" {`, "TestCosignPayloads"),
		breaks("cosign-annotation-of-any-type", `if err := json.Unmarshal(raw, &text); err != nil {`, `if json.Unmarshal(raw, &text) != nil && err != nil {`, "TestBoundAnnotations"),
		breaks("cosign-signature-no-base64", `err != nil || len(b) == 0 {`, `err != nil && len(b) < 0 {`, "TestCosignAnnotations"),
		breaks("cosign-certificate-beside-a-key", `if t.key == nil {`, `if t.root != nil {`, "TestKeyWithLog"),
		breaks("cosign-chain-unbounded", `strings.Count(chain, "-----BEGIN ") > maxChain`, `strings.Count(chain, "-----BEGIN ") > maxChain+1`, "TestCertificateAnnotationsAreBounded"),
		breaks("cosign-certificate-text-unbounded", `if len(text) > 2*maxCertificateBytes ||`, `if len(text) > 4*maxCertificateBytes ||`, "TestCertificateAnnotationsAreBounded"),
		breaks("cosign-empty-timestamp", `len(e.timestamp.SignedRFC3161Timestamp) == 0 {`, `e.timestamp == nil {`, "TestBoundAnnotations"),
		breaks("cosign-timestamp-unbounded", `return boundTimestamp(e.timestamp.SignedRFC3161Timestamp)`, `return nil`, "TestBoundAnnotations"),
		breaks("cosign-entry-unbounded", `if err := boundEntry(body); err != nil {`, `if err := boundEntry(body); err != nil && e == nil {`, "TestBoundAnnotations"),
		breaks("cosign-entry-of-any-kind", `head.Kind != "hashedrekord" ||`, `head.Kind == "" ||`, "TestKeylessRefuses"),
		breaks("cosign-entry-of-any-version", `head.APIVersion != "0.0.1" {`, `head.APIVersion == "" {`, "TestKeylessRefuses"),
		breaks("cosign-certificate-unbounded", `if err := boundCertificate(certificates[0].Raw); err != nil {`, `if err := boundCertificate(certificates[0].Raw); err != nil && e == nil {`, "TestBoundAnnotations"),
	),
	in("internal/verify/bundle.go",
		breaks("bundle-any-digest", `sigstore.WithArtifactDigest(digest.Algorithm, raw), by(t)`, `map[bool]sigstore.ArtifactPolicyOption{true: sigstore.WithoutArtifactUnsafe()}[raw != nil], by(t)`, "TestRefusedOverAnotherDigest"),
		breaks("bundle-messages-own-digest", `sigstore.WithArtifactDigest(digest.Algorithm, raw), by(t)`, `sigstore.WithArtifactDigest(digest.Algorithm, append(raw[:0], c.bundle.GetMessageSignature().GetMessageDigest().GetDigest()...)), by(t)`, "TestMessageSignatures"),
		breaks("bundle-unbounded", `if err := boundMaterial(message.GetVerificationMaterial()); err != nil {`, `if err := boundMaterial(nil); err != nil {`, "TestKeylessRefuses"),
		breaks("bundle-attestation-counts", `if err := countsAsSignature(b); err != nil {`, `if err := countsAsSignature(b); err != nil && err != errNotASignature {`, "TestStatements"),
		breaks("bundle-any-payload-type", `if envelope.GetPayloadType() != inTotoPayloadType {`, `if envelope.GetPayloadType() == "" {`, "TestBundles"),
		breaks("bundle-any-predicate", `if statement.PredicateType != SignPredicateType {`, `if statement.PredicateType == "" {`, "TestStatements"),
		breaks("bundle-any-verified-predicate", `return r.Statement == nil || r.Statement.GetPredicateType() == SignPredicateType`, `return r.Statement == nil || r.Statement.GetPredicateType() != ""`, "TestPredicateTypeOfWhatWasVerified"),
		breaks("bundle-several-signatures", `n := len(envelope.GetSignatures()); n != 1 {`, `n := len(envelope.GetSignatures()); n < 1 {`, "TestBundles"),
		breaks("bundle-pure-ed25519", `pure && c.bundle.GetMessageSignature() != nil {`, `pure && c.bundle == nil {`, "TestMessageSignaturesOverSomethingElse"),
	),
)
