package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-dev/assay/internal/verify"
	"github.com/google/go-cmp/cmp"
)

// What is kept is judged again, so it is the same bytes, however odd.
func TestSignaturesAreKeptAsTheyWere(t *testing.T) {
	v, good := verified(t)
	odd := append([]verify.Signature{
		{Format: verify.FormatBundle, Payload: []byte("{\"a\": \"<&>\u2028\"}\n")},
		{Format: "unknown"},
		{Format: verify.FormatCosign, Payload: []byte{0, 0xff}, Annotations: json.RawMessage(`{ "a" : 1, "a": "<>" }`)},
		{Format: verify.FormatCosign, Annotations: json.RawMessage(`not JSON`)},
		{Format: verify.FormatCosign, Annotations: json.RawMessage("\"\xff\"")},
		{Format: verify.FormatCosign, Annotations: json.RawMessage(`null`)},
	}, good...)
	s := newStore(t, Options{})
	published, err := s.Publish(v, owner, layersOnDisk(t, layer(regular("a", "1"))), odd)
	if err != nil {
		t.Fatal(err)
	}
	// After a restart too.
	for _, store := range []*Store{s, newStore(t, Options{Root: s.dir})} {
		got, err := store.Signatures(owner, published.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(odd, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestSignaturesOfTheLastPublication(t *testing.T) {
	s := newStore(t, Options{})
	v, signatures := verified(t)
	layers := layersOnDisk(t, layer(regular("a", "1")))
	for n := 1; n <= 2; n++ {
		want := signatures
		if n == 2 {
			want = append([]verify.Signature{{Format: "more"}}, want...)
		}
		published, err := s.Publish(v, owner, layers, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Signatures(owner, published.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("publication %d (-want +got):\n%s", n, diff)
		}
	}
}

func TestSignaturesRefuses(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	// file is what is written for a list.
	file := func(list string) string {
		return fmt.Sprintf(`{"sha256":%q,"signatures":%s}`, sha256Hex([]byte(list)), list)
	}
	good := file(`[{"format":"cosign"}]`)
	if _, err := decodeSignatures([]byte(good)); err != nil {
		t.Fatalf("the test is blind: %v", err)
	}
	cases := map[string]struct {
		digest string
		file   string // planted if not empty
		is     error
	}{
		"nothing kept":             {digest: "sha256:" + hex, is: fs.ErrNotExist},
		"a digest without a name":  {digest: hex, file: good},
		"another algorithm":        {digest: "sha512:" + hex, file: good},
		"a digest that leads away": {digest: "sha256:../" + owner.Name + "/" + hex, file: good},
		"upper case":               {digest: "sha256:" + strings.ToUpper(hex), file: good},
		"no JSON":                  {digest: "sha256:" + hex, file: "QUIET"},
		"cut short":                {digest: "sha256:" + hex, file: `{"signatures":[{"format":"cosign","payload":"QUI`},
		"wrong types":              {digest: "sha256:" + hex, file: file(`[{"format":"cosign","payload":"Q UIET"}]`)},
		"another digest":           {digest: "sha256:" + hex, file: strings.Replace(good, "cosign", "coQign", 1)},
		"without a digest":         {digest: "sha256:" + hex, file: `{"signatures":[{"format":"cosign"}]}`},
		"none in it":               {digest: "sha256:" + hex, file: file(`[]`)},
		"two values":               {digest: "sha256:" + hex, file: good + "{}"},
		"too large":                {digest: "sha256:" + hex, file: good + strings.Repeat(" ", maxKeptBytes)},
		"too many":                 {digest: "sha256:" + hex, file: file(`[` + strings.Repeat("{},", verify.MaxSignatures) + `{}]`)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, Options{})
			if c.file != "" {
				plant(t, s, owner.signatures(hex), c.file)
			}
			got, err := s.Signatures(owner, c.digest)
			var typed *Error
			if !errors.As(err, &typed) || typed.Reason != ReasonStorageFailed || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("expected %s and %v, found %v", ReasonStorageFailed, c.is, err)
			}
			if got != nil {
				t.Errorf("found %v", got)
			}
			if err != nil && (strings.ContainsAny(err.Error(), "Q'") || strings.Contains(err.Error(), s.dir)) {
				t.Errorf("the text repeats the content or a path: %v", err)
			}
		})
	}
}

func TestKeptBytesIsNoLessThanWhatIsWritten(t *testing.T) {
	_, good := verified(t)
	for name, signatures := range map[string][]verify.Signature{
		"a real one": good,
		"empty ones": make([]verify.Signature, verify.MaxSignatures),
		"odd ones":   {{Format: "\x00\xff\u2028<", Payload: []byte("x"), Annotations: []byte("xy")}},
	} {
		raw, err := encodeSignatures(signatures)
		if err != nil {
			t.Fatal(err)
		}
		if most := keptBytes(signatures); len(raw) > most {
			t.Errorf("%s: %d bytes written, at most %d foreseen", name, len(raw), most)
		}
	}
}

func TestSignaturesThatAreNoFile(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	s := newStore(t, Options{})
	plant(t, s, owner.folder()+"/target", `{"signatures":[{"format":"cosign"}]}`)
	if err := os.Symlink("target", filepath.Join(s.dir, owner.signatures(hex))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Signatures(owner, "sha256:"+hex); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("expected not to follow a link, found %v", err)
	}
}

// Every bit of the file counts: a kept signature that a disk damaged must not
// look like one that is wrong, which is a reason to withdraw.
func TestSignaturesNoticeEveryFlippedBit(t *testing.T) {
	_, signatures := verified(t)
	data, err := encodeSignatures(signatures)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(data) * 8 {
		bad := bytes.Clone(data)
		bad[i/8] ^= 1 << (i % 8)
		found, err := decodeSignatures(bad)
		if err == nil && !cmp.Equal(found, signatures) { // JSON's names may be in either case.
			t.Errorf("bit %d: found %v", i, found)
		}
	}
}
