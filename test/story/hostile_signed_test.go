package story

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"strings"
	"testing"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/test/signing"
	"github.com/assay-dev/assay/test/sigstore"
)

// manyEntries is an archive of so many empty files.
func manyEntries(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for i := range n {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%07d", i), Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// paxNamed is an archive of one file whose name a PAX record gives, with what no
// writer lets through. https://pubs.opengroup.org/onlinepubs/9699919799/utilities/pax.html
func paxNamed(t *testing.T, name string) []byte {
	t.Helper()
	record := " path=" + name + "\n"
	length := len(record)
	for len(fmt.Sprint(length))+len(record) != length {
		length = len(fmt.Sprint(length)) + len(record)
	}
	record = fmt.Sprint(length) + record
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "PaxHeaders/a", Mode: 0o644, Size: int64(len(record)), Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(record)); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&tar.Header{Name: "a", Mode: 0o644, Format: tar.FormatUSTAR}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// The first header becomes that of a PAX record.
	header := b.Bytes()[:512]
	header[156] = tar.TypeXHeader
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return zipped(b.Bytes())
}

// Archives that are signed, and that take a writer of their own.
func TestHostileTar(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		layer  []byte
		reason string // "" where it is fine
	}{
		"a-pax-name":        {paxNamed(t, "b"), ""},
		"a-name-with-nul":   {paxNamed(t, "a\x00b"), "ArtifactInvalid"},
		"backslashes":       {paxNamed(t, `..\..\passwd`), "ArtifactInvalid"},
		"a-line-break":      {paxNamed(t, "a\nb"), "ArtifactInvalid"},
		"above":             {paxNamed(t, "../passwd"), "ArtifactInvalid"},
		"absolute":          {paxNamed(t, "/etc/passwd"), "ArtifactInvalid"},
		"a-million-entries": {manyEntries(t, 1_000_000), "ArtifactTooLarge"},
	}
	w := newWorld(t, settings{})
	for name, row := range rows {
		image, err := moduleOf("1.0.0", row.layer)
		digest := w.signed(name, "1.0.0", image, err)
		w.apply(name, w.spec(name, versioned("1.0.0")))
		found := w.settled(name)
		want := published()
		if row.reason != "" {
			want = unpublishable(row.reason)
		}
		wantConditions(t, found, want)
		if (found.Status.Artifact != nil) != (row.reason == "") {
			t.Errorf("%s, %s: found the artifact %+v", name, digest, found.Status.Artifact)
		}
	}
}

// What stands around a signature is hostile, and the signature is by the right
// identity. None counts; nothing of it stands in a message; the process lives.
func TestHostileEvidence(t *testing.T) {
	t.Parallel()
	public, _ := sigstores(t)
	const bundle, chain = "dev.sigstore.cosign/bundle", "dev.sigstore.cosign/chain"
	rows := map[string]struct {
		change func(annotations map[string]string)
		reason string // "" where it is fine
	}{
		"as-it-is":      {func(map[string]string) {}, ""},
		"body-a-number": {func(a map[string]string) { a[bundle] = `{"SignedEntryTimestamp":"AAAA","Payload":{"body":1}}` }, "SignatureInvalid"},
		"body-an-object": {func(a map[string]string) {
			a[bundle] = `{"SignedEntryTimestamp":"AAAA","Payload":{"body":{"kind":"x"}}}`
		}, "SignatureInvalid"},
		"payload-a-number":  {func(a map[string]string) { a[bundle] = `{"SignedEntryTimestamp":1,"Payload":2}` }, "SignatureInvalid"},
		"entry-nested-deep": {func(a map[string]string) { a[bundle] = deep(100_000) }, "SignatureInvalid"},
		"chain-of-hundreds": {func(a map[string]string) { a[chain] = strings.Repeat(a[chain], 500) }, "SignatureInvalid"},
		"chain-of-nonsense": {func(a map[string]string) { a[chain] = strings.Repeat("-----BEGIN CERTIFICATE-----\n", 1000) }, "SignatureInvalid"},
	}
	w := newWorld(t, settings{options: rootFile(t, public.TrustedRoot())})
	for name, row := range rows {
		digest := w.push(name, "1.0.0", versionFile("1.0.0"))
		signer, err := public.Issue(ciRelease, sigstore.CertificateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		signed, err := public.Sign(signer, sigstore.Request{Digest: digest, Format: sigstore.FormatCosign, Log: sigstore.Rekor1})
		if err != nil {
			t.Fatal(err)
		}
		s, err := signed.Cosign()
		if err != nil {
			t.Fatal(err)
		}
		row.change(s.Annotations)
		if err := signing.AttachCosign(background, w.repo(name)+"@"+digest, []signing.Signature{s}); err != nil {
			t.Fatal(err)
		}
		w.apply(name, w.spec(name, trusting(by("ci", ciRelease))))
		found := w.settled(name)
		want := published()
		if row.reason != "" {
			want = refused(row.reason)
		}
		wantConditions(t, found, want)
		if text := message(found, v1alpha1.ConditionVerified); len(text) > 1000 {
			t.Errorf("%s: expected a short message, found %d bytes", name, len(text))
		}
	}
}
