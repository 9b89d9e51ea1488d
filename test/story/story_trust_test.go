package story

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
)

// holders are the kinds of object that hold keys.
var holders = map[string]struct {
	authority func(authority, name string) v1alpha1.Authority
	object    func(name string, entries map[string]string) client.Object
}{
	"Secret":    {bySecret, func(name string, entries map[string]string) client.Object { return secret(name, entries) }},
	"ConfigMap": {byConfigMap, func(name string, entries map[string]string) client.Object { return configMap(name, entries) }},
}

// withoutTrust are the conditions when keys cannot be read, and nothing was
// published before.
func withoutTrust() map[string]string {
	return map[string]string{
		"Verified": "Unknown/TrustUnavailable", "ArtifactInStorage": "False/NoArtifact", "Reconciling": "True/Retrying", "Ready": "Unknown/TrustUnavailable",
	}
}

// Keys that are not there yet: not judged, the registry is not asked, and it
// heals by itself when they appear.
func TestStoryKeysAreMissing(t *testing.T) {
	t.Parallel()
	for kind, holder := range holders {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			digest := w.release("app", "1.0.0", "bundle")
			w.registry.Reset()
			w.apply("app", w.spec("app", trusts(holder.authority("release-key", "keys"))))
			says := []string{"spec.verify.authorities[0].key.", kind + ` "keys"`, "does not exist"}
			want := expectation{conditions: withoutTrust(), says: map[string][]string{"Verified": says, "Reconciling": says, "Ready": says}}
			w.expect(w.settled("app"), want)
			w.expect(w.again("app"), want)
			if asked := w.registry.Counts(); len(asked) != 0 {
				t.Errorf("expected no request to the registry, found %v", asked)
			}

			w.change(holder.object("keys", map[string]string{"cosign.pub": string(w.key.PublicPEM())}))
			w.expect(w.ready("app"), w.released("1.0.0", digest))
			events := w.tells("app", "Warning TrustUnavailable", "Normal SignatureVerified")
			w.told(events[:1], says...)
		})
	}
}

// Keys that are gone later on do not mean that trust is withdrawn: nothing can
// be judged, and what was published stays.
func TestStoryKeysGoAndComeBack(t *testing.T) {
	t.Parallel()
	for kind, holder := range holders {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, settings{})
			digest := w.release("app", "1.0.0", "cosign")
			keys := map[string]string{"cosign.pub": string(w.key.PublicPEM())}
			w.change(holder.object("keys", keys))
			w.apply("app", w.spec("app", trusts(holder.authority("release-key", "keys"))))
			w.expect(w.ready("app"), w.released("1.0.0", digest))

			w.delete(holder.object("keys", nil))
			want := w.released("1.0.0", digest)
			want.conditions = keeping(withoutTrust())
			w.expect(w.poll("app"), want)
			w.expect(w.again("app"), want)

			w.change(holder.object("keys", keys))
			w.expect(w.ready("app"), w.released("1.0.0", digest))
			w.tells("app", "Normal SignatureVerified", "Warning TrustUnavailable", "Normal SignatureVerified")
		})
	}
}

// What is said of a refused revision is said again when the keys are back, and
// a suspended source does not go on about keys that are there.
func TestStoryKeysGoAndComeBackToRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, settings{})
	digest := w.push("app", "1.0.0", nil)
	keys := map[string]string{"cosign.pub": string(w.key.PublicPEM())}
	w.change(secret("keys", keys))
	w.apply("app", w.spec("app", trusts(bySecret("release-key", "keys"))))
	w.expect(w.settled("app"), expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})

	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = true })
	w.expect(w.settled("app"), expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})
	w.delete(secret("keys", nil))
	w.expect(w.poll("app"), expectation{conditions: withoutTrust(), observed: at("1.0.0", digest)})
	w.change(secret("keys", keys))
	w.expect(w.poll("app"), expectation{
		conditions: map[string]string{"Verified": "Unknown/Progressing", "ArtifactInStorage": "False/NoArtifact", "Ready": "Unknown/Progressing"},
		observed:   at("1.0.0", digest),
	})
	w.edit("app", func(s *v1alpha1.ModuleSourceSpec) { s.Suspend = false })
	w.expect(w.settled("app"), expectation{conditions: refused("NoSignature"), observed: at("1.0.0", digest)})
}

const garbage = "SECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECRETSECR"

// invalidTrust are the conditions when a person must edit what spec.verify
// names, or spec.verify itself.
func invalidTrust(reason string) map[string]string {
	return map[string]string{
		"Verified": "Unknown/" + reason, "ArtifactInStorage": "False/NoArtifact", "Stalled": "True/" + reason, "Ready": "False/" + reason,
	}
}

// Content that cannot be used is named by its place, and never repeated: not
// in status, not in events, not in the log.
func TestStoryKeysAreMalformed(t *testing.T) {
	t.Parallel()
	private, encoded := privateKey(t)
	good := string(newKey(t, signing.ECDSAP256).PublicPEM())
	rows := map[string]struct {
		entries map[string]string
		says    []string
		never   []string
	}{
		"no entries":        {nil, []string{"expected an entry whose name ends in .pub", "found none among 0 entries"}, nil},
		"no entry of .pub":  {map[string]string{"cosign.key": private, "pub": good}, []string{"ends in .pub", "found none among 2 entries"}, encoded},
		"an empty entry":    {map[string]string{"a.pub": good, "b.pub": ""}, []string{`entry "b.pub"`, "found nothing"}, nil},
		"no PEM":            {map[string]string{"a.pub": garbage}, []string{`entry "a.pub"`, "PEM block 1", "found something else"}, []string{garbage}},
		"bad base64":        {map[string]string{"a.pub": block("PUBLIC KEY", "!"+garbage)}, []string{`entry "a.pub"`, "PEM block 1"}, []string{garbage}},
		"no key in it":      {map[string]string{"a.pub": good, "b.pub": good + block("PUBLIC KEY", garbage)}, []string{`entry "b.pub"`, "PEM block 2", "malformed content"}, []string{garbage}},
		"a certificate":     {map[string]string{"a.pub": block("CERTIFICATE", garbage)}, []string{"PEM block 1", `"CERTIFICATE"`}, []string{garbage}},
		"a private key":     {map[string]string{"a.pub": private}, []string{`entry "a.pub"`, "PEM block 1", `PRIVATE KEY"`}, encoded},
		"a cosign.key":      {map[string]string{"a.pub": block("ENCRYPTED SIGSTORE PRIVATE KEY", garbage)}, []string{"PEM block 1", `PRIVATE KEY"`}, []string{garbage}},
		"text in between":   {map[string]string{"a.pub": good + garbage + "\n" + good}, []string{"PEM block 2", "found text"}, []string{garbage}},
		"more than 32 keys": {map[string]string{"a.pub": keys(t, 17), "b.pub": keys(t, 16)}, []string{"expected at most 32 keys"}, nil},
		"33 keys at once":   {map[string]string{"a.pub": keys(t, 33)}, []string{`entry "a.pub"`, "expected at most 32 keys"}, nil},
	}
	for kind, holder := range holders {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			logged := &log{}
			w := newWorld(t, settings{options: logged.into})
			w.release("app", "1.0.0", "bundle")
			w.change(secret("spare", map[string]string{"spare.pub": good}))
			w.registry.Reset()
			for name, row := range rows {
				name = strings.ToLower(strings.NewReplacer(" ", "-", ".", "-").Replace(name))
				w.change(holder.object(name, row.entries))
				w.apply(name, w.spec("app", trusts(bySecret("spare-key", "spare"), holder.authority("release-key", name))))
			}
			for name, row := range rows {
				name = strings.ToLower(strings.NewReplacer(" ", "-", ".", "-").Replace(name))
				says := append(row.says, "spec.verify.authorities[1].key.", kind+` "`+name+`"`)
				w.expect(w.settled(name), expectation{conditions: invalidTrust("InvalidTrust"), says: map[string][]string{"Verified": says, "Stalled": says, "Ready": says}})
				w.again(name)
				w.told(w.tells(name, "Warning InvalidTrust"), says...)
				text := w.asText(name) + logged.String()
				for _, never := range row.never {
					if strings.Contains(text, never) {
						t.Errorf("%s: expected %q nowhere, found it in\n%s", name, never, text)
					}
				}
			}
			if asked := w.registry.Counts(); len(asked) != 0 {
				t.Errorf("expected no request to the registry, found %v", asked)
			}
		})
	}
}

// privateKey is a private key in PEM, and pieces of it that give it away.
func privateKey(t *testing.T) (string, []string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return text, lines[1 : len(lines)-1]
}

func block(kind, content string) string {
	return "-----BEGIN " + kind + "-----\n" + content + "\n-----END " + kind + "-----\n"
}

// keys are n keys in PEM.
func keys(t *testing.T, n int) string {
	t.Helper()
	var text strings.Builder
	for range n {
		text.Write(newKey(t, signing.ECDSAP256).PublicPEM())
	}
	return text.String()
}

// Keys in the spec itself: what the API server's rules let through is read as
// well, and nothing is trusted that cannot be.
func TestStoryInlineKeysAreMalformed(t *testing.T) {
	t.Parallel()
	good := string(newKey(t, signing.ECDSAP256).PublicPEM())
	of := func(name, data string) v1alpha1.Authority {
		return v1alpha1.Authority{Name: name, Key: &v1alpha1.KeyAuthority{Data: data}, TransparencyLog: v1alpha1.TransparencyLogIgnore}
	}
	rows := map[string]struct {
		authorities []v1alpha1.Authority
		reason      string
		says        []string
	}{
		"broken-base64":  {[]v1alpha1.Authority{of("a", block("PUBLIC KEY", "A="+garbage))}, "InvalidSpec", []string{"spec.verify.authorities[0].key.data", "PEM block 1"}},
		"no-key-in-it":   {[]v1alpha1.Authority{of("a", good), of("b", block("PUBLIC KEY", garbage))}, "InvalidSpec", []string{"spec.verify.authorities[1].key.data", "PEM block 1", "malformed"}},
		"a-second-one":   {[]v1alpha1.Authority{of("a", good+block("RSA PUBLIC KEY", garbage))}, "InvalidSpec", []string{"spec.verify.authorities[0].key.data", "PEM block 2"}},
		"33-keys-of-two": {[]v1alpha1.Authority{of("a", keys(t, 17)), bySecret("b", "sixteen")}, "InvalidTrust", []string{"spec.verify.authorities", "at most 32 keys", "found 33"}},
	}
	w := newWorld(t, settings{})
	w.release("app", "1.0.0", "bundle")
	w.change(secret("sixteen", map[string]string{"all.pub": keys(t, 16)}))
	w.registry.Reset()
	for name, row := range rows {
		w.apply(name, w.spec("app", trusts(row.authorities...)))
	}
	for name, row := range rows {
		w.expect(w.settled(name), expectation{conditions: invalidTrust(row.reason), says: map[string][]string{"Verified": row.says, "Stalled": row.says, "Ready": row.says}})
		w.again(name)
		if text := w.asText(name); strings.Contains(text, garbage) {
			t.Errorf("%s: expected the content nowhere, found it in\n%s", name, text)
		}
	}
	w.silent()
	for name, row := range rows {
		w.told(w.tells(name, "Warning "+row.reason), row.says...)
	}
}
