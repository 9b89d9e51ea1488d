package sigstore_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/assay-dev/assay/test/sigstore"
)

// TestClaims reads the claims back with sigstore-go.
func TestClaims(t *testing.T) {
	s := newSigstore(t)
	every := sigstore.Email("dev@example.com", "https://issuer.example")
	every.Extensions = map[string]string{}
	for _, name := range sigstore.ExtensionNames() {
		every.Extensions[name] = "the " + name
	}
	for name, identity := range map[string]sigstore.Identity{
		"github":           github,
		"gitlab":           sigstore.GitLab("example-group/app", "refs/heads/main"),
		"gitlab, subgroup": sigstore.GitLab("example-group/team/app", "refs/tags/v1.0.0"),
		"email":            sigstore.Email("dev@example.com", "https://issuer.example"),
		"user name":        {Issuer: "https://issuer.example", Subject: "dev!issuer.example"},
		"every extension":  every,
	} {
		t.Run(name, func(t *testing.T) {
			signer, err := s.Issue(identity, sigstore.CertificateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			summary, err := certificate.SummarizeCertificate(signer.Certificate)
			if err != nil {
				t.Fatal(err)
			}
			want := maps.Clone(identity.Extensions)
			if want == nil {
				want = map[string]string{}
			}
			// sigstore-go has no names for these.
			for name, arc := range map[string]int{"deploymentEnvironment": 23, "tokenSubject": 24} {
				if got := claim(t, signer.Certificate, arc); got != want[name] {
					t.Errorf("extension %d is %q, want %q", arc, got, want[name])
				}
				delete(want, name)
			}
			want["issuer"] = identity.Issuer
			want["subjectAlternativeName"] = identity.Subject
			want["certificateIssuer"] = "CN=fulcio intermediate,O=sigstore.example"
			if diff := cmp.Diff(want, asMap(t, summary)); diff != "" {
				t.Errorf("the certificate says (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := s.Issue(sigstore.Identity{Extensions: map[string]string{"unheardOf": "x"}}, sigstore.CertificateOptions{}); err == nil {
		t.Error("an unknown extension is no error")
	}
}

func asMap(t *testing.T, summary certificate.Summary) map[string]string {
	t.Helper()
	document, err := json.Marshal(summary)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]string
	if err := json.Unmarshal(document, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// claim decodes an extension, and is empty if there is none.
func claim(t *testing.T, c *x509.Certificate, arc int) (value string) {
	t.Helper()
	for _, extension := range c.Extensions {
		if !extension.Id.Equal(sigstore.ExtensionOID(arc)) {
			continue
		}
		if _, err := asn1.UnmarshalWithParams(extension.Value, &value, "utf8"); err != nil {
			t.Fatal(err)
		}
	}
	return value
}

// TestCertificateOptions looks for what the libraries take no offence at.
func TestCertificateOptions(t *testing.T) {
	s := newSigstore(t)
	replaced := pkix.Extension{Id: sigstore.ExtensionOID(8), Value: []byte("not DER")}
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		options sigstore.CertificateOptions
		check   func(*x509.Certificate) (got, want any)
	}{
		"subjects of every kind": {
			options: sigstore.CertificateOptions{ExtraSubjects: []string{"dev@example.com", "dev!issuer.example", "https://other.example/x"}},
			check: func(c *x509.Certificate) (got, want any) {
				return cryptoutils.GetSubjectAlternateNames(c),
					[]string{"dev@example.com", github.Subject, "https://other.example/x", "dev!issuer.example"}
			},
		},
		"validity": {
			options: sigstore.CertificateOptions{NotBefore: at},
			check: func(c *x509.Certificate) (got, want any) {
				return []time.Time{c.NotBefore, c.NotAfter}, []time.Time{at, at.Add(10 * time.Minute)}
			},
		},
		"no first issuer": {
			options: sigstore.CertificateOptions{IssuerV1: new("")},
			check:   func(c *x509.Certificate) (got, want any) { return arcs(c, 1, 8), []int{8} },
		},
		"no second issuer": {
			options: sigstore.CertificateOptions{IssuerV2: new("")},
			check:   func(c *x509.Certificate) (got, want any) { return arcs(c, 1, 8), []int{1} },
		},
		"no issuer": {
			options: sigstore.CertificateOptions{NoIssuer: true},
			check:   func(c *x509.Certificate) (got, want any) { return arcs(c, 1, 8), []int(nil) },
		},
		"replaced extension": {
			options: sigstore.CertificateOptions{RawExtensions: []pkix.Extension{replaced}},
			check: func(c *x509.Certificate) (got, want any) {
				at := slices.IndexFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(replaced.Id) })
				return c.Extensions[at], replaced
			},
		},
		"edit": {
			options: sigstore.CertificateOptions{Edit: func(c *x509.Certificate) { c.Subject.CommonName = "edited" }},
			check:   func(c *x509.Certificate) (got, want any) { return c.Subject.CommonName, "edited" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := test.check(issue(t, s, test.options).Certificate)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("certificate (-want +got):\n%s", diff)
			}
		})
	}
}

// arcs are those of the given extensions that the certificate has.
func arcs(c *x509.Certificate, wanted ...int) (have []int) {
	for _, arc := range wanted {
		if slices.ContainsFunc(c.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(sigstore.ExtensionOID(arc)) }) {
			have = append(have, arc)
		}
	}
	return have
}

// TestCertificateShape compares the certificates with those of Fulcio.
func TestCertificateShape(t *testing.T) {
	s := newSigstore(t)
	for fixture, identity := range map[string]sigstore.Identity{
		"v2-github": github,
		"v2-gitlab": sigstore.GitLab("example-group/app", "refs/heads/main"),
		"v2-email":  sigstore.Email("dev@example.com", "https://issuer.example"),
	} {
		t.Run(fixture, func(t *testing.T) {
			signer, err := s.Issue(identity, sigstore.CertificateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			annotations := fixtureLayer(t, fixture, ".sig").Annotations
			theirs, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(annotations["dev.sigstore.cosign/certificate"]))
			if err != nil {
				t.Fatal(err)
			}
			chain, err := cryptoutils.UnmarshalCertificatesFromPEM([]byte(annotations["dev.sigstore.cosign/chain"]))
			if err != nil {
				t.Fatal(err)
			}
			for i, ours := range append([]*x509.Certificate{signer.Certificate}, signer.Chain...) {
				if diff := cmp.Diff(describe(append(theirs, chain...)[i]), describe(ours)); diff != "" {
					t.Errorf("certificate %d (-Fulcio's +ours):\n%s", i, diff)
				}
			}
		})
	}
}

// described is what does not depend on keys and names.
type described struct {
	Extensions []string // the OIDs and which are critical, sorted
	Usage      x509.KeyUsage
	Extended   []x509.ExtKeyUsage
	Algorithm  x509.SignatureAlgorithm
	CA         bool
	PathLen    int
}

func describe(c *x509.Certificate) described {
	d := described{Usage: c.KeyUsage, Extended: c.ExtKeyUsage, Algorithm: c.SignatureAlgorithm, CA: c.IsCA, PathLen: c.MaxPathLen}
	for _, extension := range c.Extensions {
		critical := ""
		if extension.Critical {
			critical = " critical"
		}
		d.Extensions = append(d.Extensions, extension.Id.String()+critical)
	}
	slices.Sort(d.Extensions)
	return d
}
