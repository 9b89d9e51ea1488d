package sigstore_test

import (
	"encoding/json"
	"testing"

	"github.com/digitorus/timestamp"
	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// TestClone edits a clone, and verifies what it was made of.
func TestClone(t *testing.T) {
	s := newSigstore(t)
	signed := sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{
		Format: sigstore.FormatBundle, Log: sigstore.Rekor2, Timestamp: true,
	})
	clone := signed.Clone()
	for _, raw := range [][]byte{clone.Payload, clone.Signature, clone.Timestamps[0], clone.Entries[0].CanonicalizedBody} {
		flip(raw)
	}
	clone.Chain[0] = nil
	if err := twice.verify(t, signed, trust(t, s.TrustedRoot()), nil); err != nil || signed.Chain[0] == nil {
		t.Errorf("the original has changed: %v", err)
	}
}

// TestWrongFormat makes requests that make no sense, and writes signatures in
// the format that they are not of.
func TestWrongFormat(t *testing.T) {
	s := newSigstore(t)
	signer := issue(t, s, sigstore.CertificateOptions{})
	v2 := sign(t, s, signer, sigstore.Request{Format: sigstore.FormatCosign, Log: sigstore.Rekor1, Timestamp: true})
	if _, err := v2.Bundle(); err == nil {
		t.Error("a bundle of the v2 format")
	}
	if _, err := sign(t, s, signer, sigstore.Request{Format: sigstore.FormatBundle}).Cosign(); err == nil {
		t.Error("a bundle in the v2 format")
	}
	for name, edit := range map[string]func(*sigstore.Signed){
		"entries":    func(s *sigstore.Signed) { s.Entries = append(s.Entries, s.Entries[0]) },
		"timestamps": func(s *sigstore.Signed) { s.Timestamps = append(s.Timestamps, s.Timestamps[0]) },
	} {
		two := v2.Clone()
		edit(two)
		if _, err := two.Cosign(); err == nil {
			t.Errorf("two %s in the v2 format", name)
		}
	}
	for name, request := range map[string]sigstore.Request{
		"no format":                          {Digest: "sha256:" + hexDigest},
		"no digest, v2 format":               {Format: sigstore.FormatCosign},
		"no digest, bundle":                  {Format: sigstore.FormatBundle},
		"no digest, message":                 {Format: sigstore.FormatBundle, MessageSignature: true},
		"message signature in the v2 format": {Digest: "sha256:" + hexDigest, Format: sigstore.FormatCosign, MessageSignature: true},
		"unknown log":                        {Digest: "sha256:" + hexDigest, Format: sigstore.FormatBundle, Log: "rekor3"},
	} {
		if _, err := s.Sign(signer, request); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestRepository(t *testing.T) {
	s := newSigstore(t)
	for name, test := range map[string]struct{ repository, want string }{
		"default": {"", sigstore.DefaultRepository},
		"given":   {"127.0.0.1:5000/app", "127.0.0.1:5000/app"},
	} {
		t.Run(name, func(t *testing.T) {
			signed := sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{
				Format: sigstore.FormatCosign, Repository: test.repository,
			})
			var document payload.SimpleContainerImage
			if err := json.Unmarshal(signed.Payload, &document); err != nil {
				t.Fatal(err)
			}
			if got := document.Critical.Identity.DockerReference; got != test.want {
				t.Errorf("the payload names %q, want %q", got, test.want)
			}
		})
	}
}

func TestAnnotations(t *testing.T) {
	s := newSigstore(t)
	signed := sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{Format: sigstore.FormatCosign})
	signed.Annotations = map[string]string{"dev.sigstore.cosign/chain": "replaced", "added": "too"}
	made, err := signed.Cosign()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"dev.sigstore.cosign/certificate": made.Annotations["dev.sigstore.cosign/certificate"],
		"dev.sigstore.cosign/chain":       "replaced",
		"added":                           "too",
	}
	if diff := cmp.Diff(want, made.Annotations); diff != "" || want["dev.sigstore.cosign/certificate"] == "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

// TestTimestampCertificate looks for the authority's certificate, which the
// real tools have in one format and not in the other.
func TestTimestampCertificate(t *testing.T) {
	s := newSigstore(t)
	for format, want := range map[sigstore.Format]int{sigstore.FormatCosign: 1, sigstore.FormatBundle: 0} {
		signed := sign(t, s, issue(t, s, sigstore.CertificateOptions{}), sigstore.Request{Format: format, Timestamp: true})
		response, err := timestamp.ParseResponse(signed.Timestamps[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := len(response.Certificates); got != want {
			t.Errorf("%s: %d certificates in the timestamp, want %d", format, got, want)
		}
	}
}

// TestIndexes tells an index in the log from one in its tree.
func TestIndexes(t *testing.T) {
	s := newSigstore(t)
	signer := issue(t, s, sigstore.CertificateOptions{})
	for log, same := range map[sigstore.Log]bool{sigstore.Rekor1: false, sigstore.Rekor2: true} {
		entry := sign(t, s, signer, sigstore.Request{Format: sigstore.FormatBundle, Log: log}).Entries[0]
		if got := entry.GetLogIndex() == entry.GetInclusionProof().GetLogIndex(); got != same {
			t.Errorf("%s: the indexes are the same: %t, want %t", log, got, same)
		}
	}
}

// TestPureEd25519 logs what no real log would: a hashedrekord of a signature
// that is not over a hash.
func TestPureEd25519(t *testing.T) {
	s := newSigstore(t)
	key, err := signing.NewKey(signing.Ed25519)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = key.Using(signing.PureEd25519); err != nil {
		t.Fatal(err)
	}
	signed := sign(t, s, sigstore.KeySigner(key), sigstore.Request{Format: sigstore.FormatCosign, Log: sigstore.Rekor1})
	if err := (policy{}).verify(t, signed, trust(t, s.TrustedRoot()), key); err != nil {
		t.Errorf("not accepted without the log: %v", err)
	}
}
