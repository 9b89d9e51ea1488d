package verify_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"slices"
	"testing"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/proto"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/assay-dev/assay/test/fixtures"
)

// anchor is what a fixture was made under: one of these keys, as
// SubjectPublicKeyInfo in DER.
type anchor [][]byte

// anchors are those of the fixtures.
type anchors struct {
	fulcio, stamper       anchor // who issued the certificates, or stands above
	rekor1, rekor2, ctLog anchor
}

func fixtureAnchors(t testing.TB) anchors {
	t.Helper()
	message, err := root.NewTrustedRootProtobuf(readFixture(t, "trust", "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	issuers := func(all []*prototrustroot.CertificateAuthority, positions ...int) (a anchor) {
		for _, i := range positions {
			c, err := x509.ParseCertificate(all[0].GetCertChain().GetCertificates()[i].GetRawBytes())
			if err != nil {
				t.Fatal(err)
			}
			a = append(a, c.RawSubjectPublicKeyInfo)
		}
		return a
	}
	key := func(name string) anchor {
		block, _ := pem.Decode(fixtures.Key(name))
		return anchor{block.Bytes}
	}
	return anchors{
		// The intermediate above a signer must be in the root. That above a
		// timestamp may stand in the timestamp.
		fulcio:  issuers(message.GetCertificateAuthorities(), 0),
		stamper: issuers(message.GetTimestampAuthorities(), 1, 2),
		rekor1:  key("rekor1"), rekor2: key("rekor2"), ctLog: key("ctlog"),
	}
}

// FuzzNeverRoot judges what was signed under one root by any other: it is
// verified only if that root holds each key that it was made under.
func FuzzNeverRoot(f *testing.F) {
	made := fixtureAnchors(f)
	judged := []struct {
		name   string
		policy func(t testing.TB, r *verify.TrustedRoot) verify.Policy
		needs  func(r *prototrustroot.TrustedRoot) []anchor
	}{
		{"v2-email", loggedBy(fixtures.Email), func(r *prototrustroot.TrustedRoot) []anchor {
			return append(made.whereThere(r, false), made.fulcio, made.rekor1)
		}},
		{"v3-rekor2-github", loggedBy(fixtures.GitHub), func(r *prototrustroot.TrustedRoot) []anchor {
			return append(made.whereThere(r, true), made.fulcio, made.rekor2, made.stamper)
		}},
		{"v2-tsa-notlog-email", func(t testing.TB, r *verify.TrustedRoot) verify.Policy {
			return keyless(t, r, verify.LogIgnore, fixtureIdentities[fixtures.Email])
		}, func(r *prototrustroot.TrustedRoot) []anchor {
			return append(made.whereThere(r, true), made.fulcio, made.stamper)
		}},
		{"rsa-v2-rekor1", func(t testing.TB, r *verify.TrustedRoot) verify.Policy { return keyedWithLog(t, "rsa", r) },
			func(*prototrustroot.TrustedRoot) []anchor { return []anchor{made.rekor1} }},
		{"v3-key-rekor2", func(t testing.TB, r *verify.TrustedRoot) verify.Policy { return keyedWithLog(t, "cosign", r) },
			func(r *prototrustroot.TrustedRoot) []anchor {
				return append(made.whereThere(&prototrustroot.TrustedRoot{TimestampAuthorities: r.GetTimestampAuthorities()}, true), made.rekor2)
			}},
	}
	for i := range judged {
		for _, name := range []string{"", "_other", "_other_fulcio", "_other_ct", "_other_rekor", "_other_tsa"} {
			text := readFixture(f, "trust", "trusted_root"+name+".json")
			var small bytes.Buffer
			if err := json.Compact(&small, text); err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), small.Bytes())
		}
		f.Add(byte(i), dropped(f, "trusted_root", "ctlogs"))
		f.Add(byte(i), dropped(f, "trusted_root_other_tsa", "timestampAuthorities"))
		f.Add(byte(i), dropped(f, "trusted_root_other", "tlogs"))
		f.Add(byte(i), []byte(`{"mediaType":"`+rootMediaType+`","tlogs":[null],"certificateAuthorities":[{}]}`))
	}
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		r, err := verify.ParseTrustedRoot(text)
		if err != nil {
			return
		}
		j := judged[int(which)%len(judged)]
		digest, signatures := fixtureSignatures(t, j.name)
		if _, err := verify.Verify(j.policy(t, r), digest, signatures); err != nil {
			return
		}
		message, err := root.NewTrustedRootProtobuf(text)
		if err != nil {
			t.Fatal(err)
		}
		holds, err := proto.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range j.needs(message) {
			if !slices.ContainsFunc(a, func(key []byte) bool { return bytes.Contains(holds, key) }) {
				t.Fatalf("%s is verified by a root without the key %d that it was made under", j.name, i)
			}
		}
	})
}

// whereThere are the keys that count where the root has any of their kind.
func (a anchors) whereThere(r *prototrustroot.TrustedRoot, stamped bool) []anchor {
	var keys []anchor
	if len(r.GetCtlogs()) > 0 {
		keys = append(keys, a.ctLog)
	}
	if stamped && len(r.GetTimestampAuthorities()) > 0 {
		keys = append(keys, a.stamper)
	}
	return keys
}

func loggedBy(who fixtures.Identity) func(t testing.TB, r *verify.TrustedRoot) verify.Policy {
	return func(t testing.TB, r *verify.TrustedRoot) verify.Policy {
		return keyless(t, r, verify.LogRequire, fixtureIdentities[who])
	}
}
