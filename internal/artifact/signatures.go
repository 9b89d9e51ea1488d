package artifact

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/assay-dev/assay/internal/verify"
)

// maxKeptBytes bounds the file of kept signatures. What the registry package
// delivers at most, 32 MiB and a manifest's annotations, fits in base64.
const maxKeptBytes = 64 << 20

// kept is the file of the signatures beside an archive.
type kept struct {
	// SHA256 is that of the bytes of Signatures, in hexadecimal. It is against
	// disks, not against people: without it a bit that flips would make a right
	// signature a wrong one, and a wrong one is a reason to withdraw.
	SHA256     string          `json:"sha256"`
	Signatures json.RawMessage `json:"signatures"`
}

// keptSignature is a verify.Signature with the annotations as bytes: as raw
// JSON the encoder would rewrite them, and refuse the file for the sake of one
// signature whose annotations are malformed.
type keptSignature struct {
	Format      verify.Format `json:"format"`
	Payload     []byte        `json:"payload"`
	Annotations []byte        `json:"annotations,omitempty"`
}

func encodeSignatures(signatures []verify.Signature) ([]byte, error) {
	if len(signatures) == 0 {
		return nil, invalid("expected at least one signature to keep, found none")
	}
	if len(signatures) > verify.MaxSignatures {
		return nil, tooLarge("expected at most %d signatures to keep, found %d", verify.MaxSignatures, len(signatures))
	}
	if keptBytes(signatures) > maxKeptBytes {
		return nil, tooLarge("expected signatures to keep of at most %d bytes, found more than %d", maxKeptBytes, maxKeptBytes)
	}
	list := make([]keptSignature, 0, len(signatures))
	for _, s := range signatures {
		list = append(list, keptSignature{s.Format, s.Payload, s.Annotations})
	}
	raw, err := json.Marshal(list)
	if err == nil {
		raw, err = json.Marshal(kept{SHA256: sha256Hex(raw), Signatures: raw})
	}
	if err != nil {
		return nil, storageFailed("encoding the signatures", err)
	}
	return raw, nil
}

// keptBytes is no less than what encoding the signatures takes, without
// encoding them to find out.
func keptBytes(signatures []verify.Signature) int {
	const frame, escaped = 256, 6 // `"format":"",…` and \u0000
	total := frame
	for _, s := range signatures {
		total += frame + escaped*len(s.Format) +
			base64.StdEncoding.EncodedLen(len(s.Payload)) + base64.StdEncoding.EncodedLen(len(s.Annotations))
	}
	return total
}

// Signatures reads the signatures that were kept when the archive of that
// digest ("sha256:<hex>", as in [Published]) was last published. They are
// untrusted bytes, on which nothing but a new verdict may be built, and over
// the manifest's digest, not over the archive's. The error is an *Error of
// [ReasonStorageFailed], which is fs.ErrNotExist if there are none.
func (s *Store) Signatures(owner Owner, digest string) ([]verify.Signature, error) {
	hex, ok := hexOf(digest)
	if !ok {
		return nil, storageFailed("reading the signatures", fmt.Errorf("expected a sha256 digest, found %s", quote(digest)))
	}
	if err := owner.validate(); err != nil {
		return nil, err
	}
	_, unlock := s.lock(owner)
	defer unlock()
	signatures, err := s.readSignatures(owner, hex)
	if err != nil {
		return nil, storageFailed("reading the signatures", err)
	}
	return signatures, nil
}

func (s *Store) readSignatures(owner Owner, hex string) ([]verify.Signature, error) {
	info, err := s.statRegular(owner.signatures(hex))
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeptBytes {
		return nil, fmt.Errorf("expected at most %d bytes, found %d", maxKeptBytes, info.Size())
	}
	f, err := s.root.Open(owner.signatures(hex))
	if err != nil {
		return nil, err
	}
	raw := make([]byte, info.Size())
	_, err = io.ReadFull(f, raw)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return decodeSignatures(raw)
}

func decodeSignatures(raw []byte) ([]verify.Signature, error) {
	// The decoder's own error may quote the content.
	other := errors.New("expected the JSON that was written, found something else")
	var file kept
	if err := json.Unmarshal(raw, &file); err != nil || file.SHA256 != sha256Hex(file.Signatures) {
		return nil, other
	}
	var list []keptSignature
	if err := json.Unmarshal(file.Signatures, &list); err != nil {
		return nil, other
	}
	if n := len(list); n == 0 || n > verify.MaxSignatures {
		return nil, fmt.Errorf("expected 1 to %d signatures, found %d", verify.MaxSignatures, n)
	}
	signatures := make([]verify.Signature, 0, len(list))
	for _, k := range list {
		signatures = append(signatures, verify.Signature{Format: k.Format, Payload: k.Payload, Annotations: k.Annotations})
	}
	return signatures, nil
}

// areSignatures judges whether a file is one that encodeSignatures made.
func areSignatures(r io.Reader) (bool, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxKeptBytes+1))
	if err != nil || len(raw) > maxKeptBytes {
		return false, err
	}
	_, err = decodeSignatures(raw)
	return err == nil, nil
}

func sha256Hex(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
