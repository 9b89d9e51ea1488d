package verify_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
	"github.com/assay-dev/assay/test/sigstore"
)

// The fuzz tests here judge a digest that nobody who is trusted ever signed, by
// signatures whose makers are out of reach: the keys of the fixtures are gone,
// and so are their certificates'. Whatever becomes of those signatures, the
// verdict on that digest must be no.

// unsigned is the digest. Nothing of the fixtures is over it.
var unsigned = artifact

// everybody trusts who signed the fixtures, in every way at once, and wants one
// of them: what is refused under it is refused under each way alone.
func everybody(t testing.TB) verify.Policy {
	t.Helper()
	p := fuzzedPolicy(t)
	for _, key := range []string{"cosign", "rsa"} {
		a := keyedWithLog(t, key, rootOf(t, "trusted_root")).Authorities[0]
		a.Name += " logged"
		p.Authorities = append(p.Authorities, a)
	}
	return p
}

// second wants two signers for the digest of a fixture, one of which is there:
// the other must not come out of nothing. No key of it is in two authorities.
type second struct {
	policy verify.Policy
	digest string
	first  verify.Signature
}

// seconds have a first signer by key and one by certificate.
func seconds(t testing.TB) []second {
	t.Helper()
	root := rootOf(t, "trusted_root")
	p := fuzzedPolicy(t)
	p.Threshold = 2
	certificate := keyless(t, root, verify.LogRequire, fixtureIdentities[fixtures.Email], fixtureIdentities[fixtures.GitHub], fixtureIdentities[fixtures.GitLab])
	twice := threshold(2, certificate.Authorities[0], keyless(t, root, verify.LogIgnore, fixtureIdentities[fixtures.Email]).Authorities[0])
	twice.Authorities[1].Name = "again"
	var all []second
	for _, of := range []struct {
		name   string
		policy verify.Policy
	}{{"v2-key-notlog", p}, {"v2-email", p}, {"v2-tsa-email", twice}} {
		digest, signatures := fixtureSignatures(t, of.name)
		all = append(all, second{of.policy, digest, signatures[0]})
	}
	return all
}

// neverSigned judges signatures that must be refused.
type neverSigned struct {
	everybody verify.Policy
	seconds   []second
}

func newNever(t testing.TB) neverSigned {
	t.Helper()
	n := neverSigned{everybody(t), seconds(t)}
	for _, s := range n.seconds { // The first signer is there, and one short.
		wantRefusal(t, verify.ReasonThresholdNotMet, s.policy, s.digest, s.first)
	}
	return n
}

func (n neverSigned) judge(t *testing.T, s verify.Signature) {
	t.Helper()
	refused := func(policy verify.Policy, digest string, signatures ...verify.Signature) {
		v, err := verify.Verify(policy, digest, signatures)
		var refusal *verify.Refusal
		if !errors.As(err, &refusal) || !v.IsZero() {
			t.Fatalf("%s is verified by %v, %v: %q %q", digest, v.Signers(), err, s.Payload, s.Annotations)
		}
	}
	refused(n.everybody, unsigned, s)
	// A fixture's own signature, once more, is still one signer's.
	second := n.seconds[len(s.Payload)%len(n.seconds)]
	refused(second.policy, second.digest, second.first, s)
}

// strangers signed the digest, and nobody trusts them: a key, and certificates
// of another Sigstore for the right identity.
func strangers(f *testing.F, format verify.Format) []verify.Signature {
	f.Helper()
	all := []verify.Signature{formats[format](f, unsigned, p256(f, "stranger"))}
	named := sigstore.Identity{Issuer: fixtures.Email.Issuer, Subject: fixtures.Email.Subject}
	signer, err := theirs(f).Issue(named, sigstore.CertificateOptions{})
	if err != nil {
		f.Fatal(err)
	}
	for _, log := range []sigstore.Log{sigstore.NoLog, sigstore.Rekor1, sigstore.Rekor2} {
		r := sigstore.Request{Digest: unsigned, Format: sigstore.FormatBundle, Log: log, Timestamp: true}
		if format == verify.FormatCosign {
			if r.Format = sigstore.FormatCosign; log == sigstore.Rekor2 {
				continue
			}
		}
		signed, err := theirs(f).Sign(signer, r)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, signatureOf(f, signed))
	}
	return all
}

// trustedOver are the genuine signatures of the fixtures, all of them over
// other digests.
func trustedOver(t testing.TB, format verify.Format) []verify.Signature {
	t.Helper()
	var all []verify.Signature
	for _, name := range fixtures.Names() {
		_, signatures := fixtureSignatures(t, name)
		all = append(all, slices.DeleteFunc(signatures, func(s verify.Signature) bool { return s.Format != format })...)
	}
	return all
}

// overUnsigned is a genuine payload that names the digest instead of its own.
func overUnsigned(payload []byte) []byte {
	const before = `"docker-manifest-digest":"`
	start := bytes.Index(payload, []byte(before))
	if start < 0 {
		return payload
	}
	start += len(before)
	return slices.Concat(payload[:start], []byte(unsigned), payload[start+len(unsigned):])
}

// FuzzNeverCosign: any payload with any annotations.
func FuzzNeverCosign(f *testing.F) {
	n := newNever(f)
	for _, s := range slices.Concat(trustedOver(f, verify.FormatCosign), strangers(f, verify.FormatCosign)) {
		f.Add(s.Payload, []byte(s.Annotations))
		f.Add(overUnsigned(s.Payload), []byte(s.Annotations))
	}
	f.Fuzz(func(t *testing.T, payload, annotations []byte) {
		n.judge(t, verify.Signature{Format: verify.FormatCosign, Payload: payload, Annotations: annotations})
	})
}

// FuzzNeverAnnotations: any annotations beside a payload that names the digest.
func FuzzNeverAnnotations(f *testing.F) {
	n := newNever(f)
	for _, s := range slices.Concat(trustedOver(f, verify.FormatCosign), strangers(f, verify.FormatCosign)) {
		f.Add([]byte(s.Annotations))
	}
	for _, text := range []string{
		``, `null`, `[]`, `{}`, `{"dev.cosignproject.cosign/signature":null}`, `{"dev.cosignproject.cosign/signature":""}`,
		`{"dev.cosignproject.cosign/signature":"AAAA","dev.sigstore.cosign/bundle":"{\"Payload\":{\"body\":{}}}"}`,
		`{"dev.cosignproject.cosign/signature":"AAAA","dev.sigstore.cosign/rfc3161timestamp":"{}","dev.sigstore.cosign/chain":1}`,
	} {
		f.Add([]byte(text))
	}
	payload := marshal(f, cosignPayload(unsigned, cosignType))
	f.Fuzz(func(t *testing.T, annotations []byte) {
		n.judge(t, verify.Signature{Format: verify.FormatCosign, Payload: payload, Annotations: annotations})
	})
}

// FuzzNeverPayload: any payload beside genuine annotations.
func FuzzNeverPayload(f *testing.F) {
	n := newNever(f)
	all := slices.Concat(trustedOver(f, verify.FormatCosign), strangers(f, verify.FormatCosign))
	for i, s := range all {
		f.Add(byte(i), s.Payload)
		f.Add(byte(i), overUnsigned(s.Payload))
	}
	f.Add(byte(0), []byte(strings.Repeat(" ", 4096)))
	f.Fuzz(func(t *testing.T, which byte, payload []byte) {
		s := all[int(which)%len(all)]
		n.judge(t, verify.Signature{Format: verify.FormatCosign, Payload: payload, Annotations: s.Annotations})
	})
}

// FuzzNeverBundle: any text as a bundle.
func FuzzNeverBundle(f *testing.F) {
	n := newNever(f)
	over := base64Of(marshal(f, statement(signPredicate, subject(unsigned))))
	for _, s := range slices.Concat(trustedOver(f, verify.FormatBundle), strangers(f, verify.FormatBundle)) {
		f.Add(s.Payload)
		if _, payload, _, ok := signedParts(s.Payload); ok { // The signature stays, and the statement names the digest.
			f.Add(bytes.ReplaceAll(s.Payload, []byte(base64Of(payload)), []byte(over)))
		}
	}
	f.Add(marshal(f, messageDocument(unsigned, []byte("s"))))
	f.Add(marshal(f, messageDocument(unsigned, signRaw(f, p256(f, "stranger"), artifactBytes))))
	f.Fuzz(func(t *testing.T, text []byte) {
		n.judge(t, verify.Signature{Format: verify.FormatBundle, Payload: text})
	})
}
