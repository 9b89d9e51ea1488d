package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// right is one way to be right, in one format or in both.
type right struct {
	change func(t testing.TB, a *attempt)
	only   sigstore.Format
}

// rights are ways to be right: each is the counterpart of one to be wrong.
var rights = map[string]right{
	"as it is":                           {func(testing.TB, *attempt) {}, ""},
	"with a timestamp":                   {func(_ testing.TB, a *attempt) { a.request.Timestamp = true }, ""},
	"promise without a proof":            {func(_ testing.TB, a *attempt) { a.request.PromiseOnly = true }, sigstore.FormatCosign},
	"proof without a promise, timestamp": {func(_ testing.TB, a *attempt) { a.request.ProofOnly, a.request.Timestamp = true, true }, sigstore.FormatBundle},
	"Rekor v2 and timestamp":             {func(_ testing.TB, a *attempt) { a.request.Log, a.request.Timestamp = sigstore.Rekor2, true }, sigstore.FormatBundle},
	"log ignored, timestamp": {func(_ testing.TB, a *attempt) {
		a.mode, a.request.Log, a.request.Timestamp = verify.LogIgnore, sigstore.NoLog, true
	}, ""},
	"log ignored, by another log": {func(t testing.TB, a *attempt) {
		a.mode, a.request.LogBy, a.request.Timestamp = verify.LogIgnore, theirs(t), true
	}, ""},
	"message signature":                  {func(_ testing.TB, a *attempt) { a.request.MessageSignature = true }, sigstore.FormatBundle},
	"bundle 0.1 with a chain":            {func(_ testing.TB, a *attempt) { a.edit = oldBundle }, sigstore.FormatBundle},
	"long ago":                           {longAgo, ""},
	"no certificate transparency log":    {func(_ testing.TB, a *attempt) { a.roots.CTLog, a.certificate.NoSCT = nil, true }, ""},
	"no timestamp authority in the root": {func(_ testing.TB, a *attempt) { a.roots.TSA, a.request.Timestamp = nil, true }, ""},
	"log key retired since":              {func(_ testing.TB, a *attempt) { a.roots.Valid.Rekor1.End = hours(1) }, ""},
	"person":                             {func(_ testing.TB, a *attempt) { be(a, sigstore.Email("dev@example.com", "https://accounts.example")) }, ""},
	"user name": {func(_ testing.TB, a *attempt) {
		be(a, sigstore.Identity{Issuer: "https://accounts.example", Subject: "dev!example.com"})
	}, ""},
	"GitLab":                              {func(_ testing.TB, a *attempt) { be(a, sigstore.GitLab("example-group/app", "refs/heads/main")) }, ""},
	"issuer in the older extension alone": {func(_ testing.TB, a *attempt) { none := ""; a.certificate.IssuerV2 = &none }, ""},
	"issuer in the newer extension alone": {func(_ testing.TB, a *attempt) { none := ""; a.certificate.IssuerV1 = &none }, ""},
	"expressions": {func(_ testing.TB, a *attempt) {
		a.spec = verify.IdentitySpec{
			IssuerRegExp:  `https://(token\.actions\.githubusercontent|gitlab)\.com`,
			SubjectRegExp: `https://github\.com/example-org/app/.*|never`,
		}
	}, ""},
	"every extension": {func(_ testing.TB, a *attempt) {
		a.identity.Extensions = maps.Clone(a.identity.Extensions)
		a.identity.Extensions["deploymentEnvironment"] = "production"
		for name, value := range a.identity.Extensions {
			a.spec = withExtensions(a.spec, name, value)
		}
	}, ""},
}

func be(a *attempt, id sigstore.Identity) { a.identity, a.spec = id, exactly(id) }

func oldBundle(_ testing.TB, s *sigstore.Signed) {
	s.BundleVersion, s.BundleChain = sigstore.Bundle01, true
}

// longAgo is a signature whose certificate expired years ago, as all do.
func longAgo(_ testing.TB, a *attempt) {
	a.certificate.NotBefore = hours(-24 * 365 * 3)
	a.request.LogTime = a.certificate.NotBefore.Add(time.Minute)
}

func TestKeylessAccepts(t *testing.T) {
	all := maps.Clone(rights)
	maps.Copy(all, rightEdges)
	for name, row := range all {
		for _, format := range bothFormats {
			if row.only != "" && row.only != format {
				continue
			}
			t.Run(name+"/"+string(format), func(t *testing.T) {
				a := rightAttempt(t, format)
				row.change(t, a)
				v := wantVerified(t, a.policy(t), artifact, signatureOf(t, a.sign(t)))
				s := v.Signers()[0]
				if s.Issuer != a.identity.Issuer || s.Subject != a.identity.Subject || s.KeyFingerprint != "" {
					t.Errorf("the evidence names somebody else: %+v", s)
				}
				found := map[string]string{}
				for _, e := range s.Extensions {
					found[e.Name] = e.Value
				}
				if diff := cmp.Diff(a.identity.Extensions, found); diff != "" && len(a.identity.Extensions)+len(found) > 0 {
					t.Errorf("extensions (-want +got):\n%s", diff)
				}
				if (a.mode == verify.LogRequire) != (s.Log != nil) {
					t.Errorf("expected a log entry exactly where it is required, found %+v", s.Log)
				}
			})
		}
	}
}

// Extensions are compared by all of Fulcio's names, each on its own.
func TestEveryExtensionCounts(t *testing.T) {
	a := rightAttempt(t, sigstore.FormatBundle)
	a.identity.Extensions = maps.Clone(release.Extensions)
	a.identity.Extensions["deploymentEnvironment"] = "production"
	signature := signatureOf(t, a.sign(t))
	if got, want := slices.Sorted(maps.Keys(a.identity.Extensions)), slices.Sorted(slices.Values(verify.ExtensionNames())); !slices.Equal(got, want) {
		t.Fatalf("expected a certificate with %v, found %v", want, got)
	}
	for _, name := range verify.ExtensionNames() {
		t.Run(name, func(t *testing.T) {
			a.spec = withExtensions(exactly(release), name, a.identity.Extensions[name])
			wantVerified(t, a.policy(t), artifact, signature)
			a.spec = withExtensions(exactly(release), name, a.identity.Extensions[name]+"x")
			wantRefusal(t, verify.ReasonIdentityMismatch, a.policy(t), artifact, signature)
		})
	}
}

// The evidence says which log recorded it, where and when.
func TestKeylessEvidence(t *testing.T) {
	at := time.Now().Truncate(time.Second)
	for _, format := range bothFormats {
		t.Run(string(format), func(t *testing.T) {
			a := rightAttempt(t, format)
			a.request.LogTime, a.request.Timestamp, a.request.TimestampTime = at, true, at
			signed := a.sign(t)
			s := wantVerified(t, a.policy(t), artifact, signatureOf(t, signed)).Signers()[0]
			want := &verify.LogEntry{LogID: hex.EncodeToString(signed.Entries[0].GetLogId().GetKeyId()), URL: s.Log.URL, Index: signed.Entries[0].GetLogIndex(), IntegratedTime: at}
			if diff := cmp.Diff(want, s.Log); diff != "" || !strings.HasPrefix(s.Log.URL, "https://") {
				t.Errorf("log entry, at %s (-want +got):\n%s", s.Log.URL, diff)
			}
			if !s.SignedTimestamp.Equal(at) {
				t.Errorf("expected the timestamp %s, found %s", at, s.SignedTimestamp)
			}
		})
	}
}

// A key with the log required: the same log rules, and a certificate that is
// planted beside the signature proves nothing.
func TestKeyWithLog(t *testing.T) {
	key := p256(t, "signer")
	policy := func(roots sigstore.Roots) verify.Policy {
		p := trusting(t, key)
		p.Authorities[0].TransparencyLog, p.Authorities[0].Root = verify.LogRequire, trustedRoot(t, roots)
		return p
	}
	sign := func(t *testing.T, by *signing.Key, r sigstore.Request) *sigstore.Signed {
		t.Helper()
		signed, err := ours(t).Sign(sigstore.KeySigner(by), r)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	for _, format := range bothFormats {
		t.Run(string(format), func(t *testing.T) {
			r := sigstore.Request{Digest: artifact, Format: format, Log: sigstore.Rekor1}
			right := sign(t, key, r)
			s := wantVerified(t, policy(ours(t).Roots()), artifact, signatureOf(t, right)).Signers()[0]
			if s.KeyFingerprint != fingerprint(t, key) || s.Log == nil || s.Log.IntegratedTime.IsZero() {
				t.Errorf("unlikely evidence %+v", s)
			}
			onlyLog := sigstore.Roots{Rekor1: ours(t)}
			wantVerified(t, policy(onlyLog), artifact, signatureOf(t, right))
			wantRefusal(t, verify.ReasonTransparencyLogInvalid, policy(sigstore.Roots{Rekor1: theirs(t)}), artifact, signatureOf(t, right))
			wantRefusal(t, verify.ReasonSignatureInvalid, policy(onlyLog), another, signatureOf(t, right))

			r.Log = sigstore.NoLog
			wantRefusal(t, verify.ReasonTransparencyLogMissing, policy(onlyLog), artifact, signatureOf(t, sign(t, key, r)))

			spliced := right.Clone()
			r.Log = sigstore.Rekor1
			spliced.Entries = sign(t, key, r).Entries
			wantRefusal(t, verify.ReasonTransparencyLogInvalid, policy(onlyLog), artifact, signatureOf(t, spliced))

			spliced.Entries = sign(t, p256(t, "stranger"), r).Entries
			wantRefusal(t, verify.ReasonTransparencyLogInvalid, policy(onlyLog), artifact, signatureOf(t, spliced))
			wantRefusal(t, verify.ReasonKeyMismatch, policy(onlyLog), artifact, signatureOf(t, sign(t, p256(t, "stranger"), r)))

			if format == sigstore.FormatCosign { // The key made it: what cannot be read is the entry.
				spoilt := right.Clone()
				spoilt.Annotations = map[string]string{"dev.sigstore.cosign/bundle": "x"}
				wantRefusal(t, verify.ReasonTransparencyLogInvalid, policy(onlyLog), artifact, signatureOf(t, spoilt))
			}

			r.Timestamp, r.TimestampBy = true, theirs(t)
			wantRefusal(t, verify.ReasonTimestampInvalid, policy(ours(t).Roots()), artifact, signatureOf(t, sign(t, key, r)))
		})
	}
	t.Run("Rekor v2", func(t *testing.T) {
		r := sigstore.Request{Digest: artifact, Format: sigstore.FormatBundle, Log: sigstore.Rekor2}
		s := wantVerified(t, policy(ours(t).Roots()), artifact, signatureOf(t, sign(t, key, r))).Signers()[0]
		if s.Log == nil || !s.Log.IntegratedTime.IsZero() {
			t.Errorf("unlikely evidence %+v", s)
		}
	})
	t.Run("planted certificate", func(t *testing.T) {
		for _, mode := range []verify.LogMode{verify.LogRequire, verify.LogIgnore} {
			p := policy(ours(t).Roots())
			p.Authorities[0].TransparencyLog = mode
			planted := rightAttempt(t, sigstore.FormatCosign).sign(t) // by a certificate, and wholly right
			wantRefusal(t, verify.ReasonKeyMismatch, p, artifact, signatureOf(t, planted))
			right := sign(t, key, sigstore.Request{Digest: artifact, Format: sigstore.FormatCosign, Log: sigstore.Rekor1})
			right.Certificate, right.Chain = planted.Certificate, planted.Chain
			wantVerified(t, p, artifact, signatureOf(t, right)) // as if it were not there
		}
	})
}

// Several roots at once: each authority by its own, and one signer is one
// signer under all of them.
func TestSeveralRoots(t *testing.T) {
	public, private := trustedRoot(t, ours(t).Roots()), trustedRoot(t, theirs(t).Roots())
	ci := rightAttempt(t, sigstore.FormatBundle)
	security := rightAttempt(t, sigstore.FormatCosign)
	security.issuedBy, security.request.LogBy = theirs(t), theirs(t)
	be(security, sigstore.Email("security@example.com", "https://sso.example"))
	key := p256(t, "release")
	all := []verify.Signature{
		signatureOf(t, ci.sign(t)), signatureOf(t, security.sign(t)), bundleSigned(t, artifact, key),
	}
	policy := func(n int) verify.Policy {
		p := threshold(n,
			keyless(t, public, verify.LogRequire, ci.spec).Authorities[0],
			keyless(t, private, verify.LogRequire, security.spec).Authorities[0],
			authority(t, "release", key))
		p.Authorities[0].Name, p.Authorities[1].Name = "ci", "security"
		return p
	}
	wantVerified(t, policy(3), artifact, all...)
	wantVerified(t, policy(2), artifact, all[1:]...)
	refusal := wantRefusal(t, verify.ReasonThresholdNotMet, policy(3), artifact, all[:2]...)
	for _, says := range []string{"found 2", `security by "security@example.com"`, "release by none"} {
		if !strings.Contains(refusal.Message, says) {
			t.Errorf("expected a message that says %q, found %s", says, refusal.Message)
		}
	}
	swapped := policy(2)
	swapped.Authorities[0].Root, swapped.Authorities[1].Root = private, public
	wantRefusal(t, verify.ReasonIdentityMismatch, swapped, artifact, all[:2]...)
	for i := range 2 {
		p := policy(1)
		p.Authorities = p.Authorities[1-i : 2-i]
		wantRefusal(t, verify.ReasonTransparencyLogInvalid, p, artifact, all[i])
	}

	// The same identity by both instances is one signer.
	twice := rightAttempt(t, sigstore.FormatBundle)
	twice.issuedBy, twice.request.LogBy = theirs(t), theirs(t)
	both := threshold(2, keyless(t, public, verify.LogRequire, ci.spec).Authorities[0], keyless(t, private, verify.LogRequire, ci.spec).Authorities[0])
	both.Authorities[1].Name = "second"
	wantRefusal(t, verify.ReasonThresholdNotMet, both, artifact, all[0], signatureOf(t, twice.sign(t)))
}

// The verdict, its evidence and its message do not follow the order of
// signatures, nor the hash that of identities.
func TestKeylessOrder(t *testing.T) {
	var all []verify.Signature
	for _, format := range bothFormats {
		for range 2 {
			all = append(all, signatureOf(t, rightAttempt(t, format).sign(t)))
		}
	}
	a := rightAttempt(t, sigstore.FormatBundle)
	want := wantVerified(t, a.policy(t), artifact, all...)
	back := slices.Clone(all)
	slices.Reverse(back)
	if diff := cmp.Diff(want.Signers(), wantVerified(t, a.policy(t), artifact, back...).Signers()); diff != "" {
		t.Errorf("evidence by the order of signatures:\n%s", diff)
	}
	root := trustedRoot(t, a.roots)
	x, y := exactly(release), verify.IdentitySpec{IssuerRegExp: ".*", Subject: "dev@example.com"}
	if keyless(t, root, verify.LogRequire, x, y).Hash() != keyless(t, root, verify.LogRequire, y, x, y).Hash() {
		t.Error("the hash follows the order of identities")
	}
	seen := map[string]string{}
	for name, p := range map[string]verify.Policy{
		"x": keyless(t, root, verify.LogRequire, x), "y": keyless(t, root, verify.LogRequire, y), "both": keyless(t, root, verify.LogRequire, x, y),
		"ignore": keyless(t, root, verify.LogIgnore, x), "root": keyless(t, trustedRoot(t, theirs(t).Roots()), verify.LogRequire, x),
		"extension":            keyless(t, root, verify.LogRequire, withExtensions(x, "buildTrigger", "push")),
		"other":                keyless(t, root, verify.LogRequire, withExtensions(x, "buildTrigger", "pull")),
		"issuer expression":    keyless(t, root, verify.LogRequire, verify.IdentitySpec{IssuerRegExp: x.Issuer, Subject: x.Subject}),
		"other issuer":         keyless(t, root, verify.LogRequire, verify.IdentitySpec{Issuer: x.Issuer + "x", Subject: x.Subject}),
		"other issuer's expr.": keyless(t, root, verify.LogRequire, verify.IdentitySpec{IssuerRegExp: x.Issuer + "x", Subject: x.Subject}),
		"other subject":        keyless(t, root, verify.LogRequire, verify.IdentitySpec{Issuer: x.Issuer, Subject: x.Subject + "x"}),
		"other subject's expr": keyless(t, root, verify.LogRequire, verify.IdentitySpec{Issuer: x.Issuer, SubjectRegExp: x.Subject + "x"}),
		"swapped":              keyless(t, root, verify.LogRequire, verify.IdentitySpec{Issuer: x.Subject, Subject: x.Issuer}),
		"other extension":      keyless(t, root, verify.LogRequire, withExtensions(x, "runnerEnvironment", "push")),
		"two extensions":       keyless(t, root, verify.LogRequire, withExtensions(x, "buildTrigger", "push", "runnerEnvironment", "push")),
		"expression":           keyless(t, root, verify.LogRequire, verify.IdentitySpec{Issuer: x.Issuer, SubjectRegExp: x.Subject}),
	} {
		if other, ok := seen[p.Hash()]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[p.Hash()] = name
	}
	ordered := keyless(t, root, verify.LogRequire, withExtensions(x, "runnerEnvironment", "push", "buildTrigger", "push"))
	if seen[ordered.Hash()] != "two extensions" {
		t.Error("the hash follows the order of extensions")
	}
	key := trusting(t, p256(t, "signer"))
	before := key.Hash()
	key.Authorities[0].Root = root
	if key.Hash() != before {
		t.Error("the hash depends on a root that is not looked at")
	}
}

// Issuer and subject make a signer together: two of one subject by two issuers
// are two, and so are two of one issuer.
func TestWhoIsAnotherSigner(t *testing.T) {
	signer := func(issuer, subject string) (verify.IdentitySpec, verify.Signature) {
		a := rightAttempt(t, sigstore.FormatBundle)
		be(a, sigstore.Email(subject, issuer))
		return a.spec, signatureOf(t, a.sign(t))
	}
	root := trustedRoot(t, ours(t).Roots())
	for name, other := range map[string][2]string{
		"another issuer": {"https://b.example", "x@example.com"}, "another subject": {"https://a.example", "y@example.com"},
		"the same text, parted elsewhere": {"https://a.exam", "plex@example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			first, one := signer("https://a.example", "x@example.com")
			second, two := signer(other[0], other[1])
			either := keyless(t, root, verify.LogRequire, first, second).Authorities[0]
			policy := threshold(2, either, either)
			policy.Authorities[1].Name = "second"
			wantVerified(t, policy, artifact, one, two)
			_, again := signer("https://a.example", "x@example.com")
			wantRefusal(t, verify.ReasonThresholdNotMet, policy, artifact, one, again)
		})
	}
}

// Of entries in several logs, the earliest is reported.
func TestEarliestEvidence(t *testing.T) {
	roots := ours(t).Roots()
	both := trustedRoot(t, roots, sigstore.Roots{Rekor1: theirs(t), TSA: theirs(t)})
	early, late := time.Now().Add(-30*time.Second).Truncate(time.Second), time.Now().Truncate(time.Second)
	a := rightAttempt(t, sigstore.FormatBundle)
	a.request.LogTime, a.request.Timestamp, a.request.TimestampTime = late, true, late
	a.edit = func(t testing.TB, s *sigstore.Signed) {
		entry, err := theirs(t).Log1(s, early)
		if err != nil {
			t.Fatal(err)
		}
		stamp, err := theirs(t).Timestamp(s.Signature, early, true)
		if err != nil {
			t.Fatal(err)
		}
		s.Entries, s.Timestamps = append(s.Entries, entry), append(s.Timestamps, stamp)
	}
	signed := a.sign(t)
	for range 2 { // In either order.
		s := wantVerified(t, keyless(t, both, verify.LogRequire, a.spec), artifact, signatureOf(t, signed)).Signers()[0]
		if !s.Log.IntegratedTime.Equal(early) {
			t.Errorf("expected the entry of %s, found %+v", early, s.Log)
		}
		slices.Reverse(signed.Entries)
		slices.Reverse(signed.Timestamps)
	}
	key := p256(t, "signer")
	byKey, err := ours(t).Sign(sigstore.KeySigner(key), sigstore.Request{Digest: artifact, Format: sigstore.FormatBundle, Log: sigstore.Rekor1, Timestamp: true, TimestampTime: early})
	if err != nil {
		t.Fatal(err)
	}
	p := trusting(t, key)
	p.Authorities[0].TransparencyLog, p.Authorities[0].Root = verify.LogRequire, trustedRoot(t, roots)
	if s := wantVerified(t, p, artifact, signatureOf(t, byKey)).Signers()[0]; !s.SignedTimestamp.Equal(early) {
		t.Errorf("expected the timestamp %s of a key's signature, found %s", early, s.SignedTimestamp)
	}
}

// A key whose log was retired needs a time that says that it was in use then.
func TestKeyOfARetiredLog(t *testing.T) {
	key := p256(t, "signer")
	roots := ours(t).Roots()
	roots.Valid.Rekor1.End, roots.Valid.Rekor2.End = hours(1), hours(1)
	policy := trusting(t, key)
	policy.Authorities[0].TransparencyLog, policy.Authorities[0].Root = verify.LogRequire, trustedRoot(t, roots)
	for name, r := range map[string]sigstore.Request{
		"Rekor v1, no promise": {Log: sigstore.Rekor1, ProofOnly: true}, "Rekor v2": {Log: sigstore.Rekor2},
	} {
		t.Run(name, func(t *testing.T) {
			r.Digest, r.Format = artifact, sigstore.FormatBundle
			sign := func() verify.Signature {
				signed, err := ours(t).Sign(sigstore.KeySigner(key), r)
				if err != nil {
					t.Fatal(err)
				}
				return signatureOf(t, signed)
			}
			wantRefusal(t, verify.ReasonTransparencyLogInvalid, policy, artifact, sign())
			r.Timestamp = true
			wantVerified(t, policy, artifact, sign())
			r.Timestamp, r.ProofOnly = false, false
			if r.Log == sigstore.Rekor1 { // The promise says when.
				wantVerified(t, policy, artifact, sign())
			}
		})
	}
}

// A certificate for a key of the policy is that key's signer: one signature is
// not two.
func TestCertificateForAKeyOfThePolicy(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := verify.ParseKeys(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	a := rightAttempt(t, sigstore.FormatCosign)
	a.certificate.Key = private
	byKey := verify.Authority{Name: "key", Keys: keys, TransparencyLog: verify.LogIgnore}
	policy := threshold(1, a.policy(t).Authorities[0], byKey)
	signature := signatureOf(t, a.sign(t))
	for _, only := range policy.Authorities {
		wantVerified(t, threshold(1, only), artifact, signature)
	}
	policy.Threshold = 2
	wantRefusal(t, verify.ReasonThresholdNotMet, policy, artifact, signature)
	wantVerified(t, policy, artifact, signature, signatureOf(t, rightAttempt(t, sigstore.FormatBundle).sign(t)))
}
