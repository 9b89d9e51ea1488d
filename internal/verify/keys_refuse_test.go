package verify_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-dev/assay/internal/verify"
)

// marker stands for what a text holds and no error may repeat.
const marker = "MARKERhunter2MARKERhunter2MARKER"

// spki is a SubjectPublicKeyInfo that crypto/x509 does not write.
func spki(algorithm asn1.ObjectIdentifier, parameters any, key []byte) []byte {
	info := struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{Key: asn1.BitString{Bytes: key, BitLength: 8 * len(key)}}
	info.Algorithm.Algorithm = algorithm
	if parameters != nil {
		info.Algorithm.Parameters = asn1.RawValue{FullBytes: der(parameters)}
	}
	return der(info)
}

func der(value any) []byte {
	raw, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return raw
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// The algorithms of RFC 5480, section 2.1.1, and of RFC 3279, section 2.3.2.
var (
	oidEC        = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1 = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	oidDSA       = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidRSAPSS    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
)

func dsaSPKI() []byte {
	parameters := struct{ P, Q, G *big.Int }{big.NewInt(23), big.NewInt(11), big.NewInt(4)}
	return spki(oidDSA, parameters, der(big.NewInt(9)))
}

func certificateDER() []byte {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: marker},
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	return must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
}

// privateKeys are PEM blocks of every type that holds a secret, each with a
// key in it that parses.
func privateKeys() map[string]string {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(ec))
	blocks := map[string]string{
		"Ed25519": block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(ed, err)))),
		"SEC1":    block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))),
		"PKCS1":   block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
		// A private key that somebody saved as a public one.
		"LabelledPublic":    block("PUBLIC KEY", pkcs8),
		"LabelledRSAPublic": block("RSA PUBLIC KEY", x509.MarshalPKCS1PrivateKey(rsaKey)),
	}
	for _, blockType := range []string{
		"PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "DSA PRIVATE KEY", "OPENSSH PRIVATE KEY",
		"ENCRYPTED COSIGN PRIVATE KEY", "ENCRYPTED SIGSTORE PRIVATE KEY", "PGP PRIVATE KEY BLOCK",
	} {
		blocks[blockType] = block(blockType, pkcs8)
	}
	return blocks
}

// damaged are texts with a good key in them, and something that pem.Decode
// skips without a word, or that a careless parser does.
func damaged() map[string]string {
	lines := strings.SplitAfter(good(), "\n")
	return map[string]string{
		"TextBefore":             marker + "\n" + good(),
		"TextBetween":            good() + marker + "\n" + other(),
		"TextAfter":              good() + marker,
		"TextOnLineOfBegin":      marker + good(),
		"TextOnLineOfEnd":        strings.TrimSpace(good()) + marker + "\n" + other(),
		"CommentBefore":          "# release key\n" + good(),
		"ByteOrderMark":          "\ufeff" + good(),
		"Header":                 strings.Replace(good(), "-----\n", "-----\nComment: "+marker+"\n\n", 1),
		"Encrypted":              strings.Replace(good(), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1),
		"MalformedBeforeGood":    "-----BEGIN PUBLIC KEY-----\n" + marker + "!\n-----END PUBLIC KEY-----\n" + good(),
		"UnterminatedBeforeGood": "-----BEGIN PUBLIC KEY-----\n" + good(),
		"BeginTwiceBeforeGood":   strings.Repeat("-----BEGIN PUBLIC KEY-----\n", 2) + good(),
		"OtherEndBeforeGood":     "-----BEGIN PUBLIC KEY-----\n" + lines[1] + "-----END RSA PUBLIC KEY-----\n" + good(),
		"EndAlone":               "-----END PUBLIC KEY-----\n" + good(),
		"EndAloneAfter":          good() + "-----END PUBLIC KEY-----\n",
		"BeginAloneAfter":        good() + "-----BEGIN PUBLIC KEY-----\n",
		"TruncatedAfterGood":     good() + other()[:60],
		"Truncated":              good()[:90],
		"TruncatedEnd":           strings.TrimSuffix(strings.TrimSpace(good()), "-"),
		"WithoutBegin":           strings.Join(lines[1:], ""),
		"NotBase64":              strings.Replace(good(), "MFkw", "M~kw", 1),
		"LineMissing":            strings.Replace(good(), lines[1], "", 1),
		"OneLetterMissing":       strings.Replace(good(), "MFkw", "MFk", 1),
		"EmptyBlock":             "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
		"UTF16":                  "\xff\xfe" + strings.Join(strings.Split(good(), ""), "\x00"),
		"NUL":                    good() + "\x00",
		"BareDER":                string(pkixDER()),
		"BareBase64":             base64.StdEncoding.EncodeToString(pkixDER()),
		"JSON":                   `{"key": "` + marker + `"}`,
		"SSH":                    "ssh-ed25519 " + base64.StdEncoding.EncodeToString([]byte(marker)) + " user@host",
	}
}

func pkixDER() []byte { return subjectPublicKeyInfo(goodKey()) }

// unsupported are keys of other kinds and encodings.
func unsupported() map[string]string {
	onCurve := must(goodKey().ECDH()).Bytes()
	offCurve := slices.Clone(onCurve)
	offCurve[len(offCurve)-1] ^= 1
	trailing := func(raw []byte) []byte { return append(slices.Clone(raw), 0x05, 0x00) }
	texts := map[string]string{
		"RSA1024":              publicBlock(rsaPublic(1024, 65537)),
		"RSA2047":              publicBlock(rsaPublic(2047, 65537)),
		"RSA2041":              publicBlock(rsaPublic(2041, 65537)),
		"RSA2049":              publicBlock(rsaPublic(2049, 65537)),
		"RSA4095":              publicBlock(rsaPublic(4095, 65537)),
		"RSA8192":              publicBlock(rsaPublic(8192, 65537)),
		"RSA2047PKCS1":         pkcs1Block(rsaPublic(2047, 65537)),
		"RSAExponent1":         publicBlock(rsaPublic(2048, 1)), // a signature would be its own message
		"RSAEvenExponent":      publicBlock(rsaPublic(2048, 2)),
		"RSAPSS":               block("PUBLIC KEY", spki(oidRSAPSS, nil, x509.MarshalPKCS1PublicKey(rsaPublic(2048, 65537)))),
		"P224":                 publicBlock(ecdsaPublic(elliptic.P224())),
		"Secp256k1":            block("PUBLIC KEY", spki(oidEC, oidSecp256k1, onCurve)),
		"NotOnTheCurve":        block("PUBLIC KEY", spki(oidEC, asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, offCurve)),
		"PointAtInfinity":      block("PUBLIC KEY", spki(oidEC, asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}, []byte{0})),
		"X25519":               publicBlock(must(ecdh.X25519().GenerateKey(rand.Reader)).PublicKey()),
		"DSA":                  block("PUBLIC KEY", dsaSPKI()),
		"Ed25519TooShort":      block("PUBLIC KEY", spki(asn1.ObjectIdentifier{1, 3, 101, 112}, nil, make([]byte, 31))),
		"Certificate":          block("CERTIFICATE", certificateDER()),
		"CertificateAsKey":     block("PUBLIC KEY", certificateDER()),
		"TrailingBytes":        block("PUBLIC KEY", trailing(pkixDER())),
		"TrailingBytesPKCS1":   block("RSA PUBLIC KEY", trailing(x509.MarshalPKCS1PublicKey(rsaPublic(2048, 65537)))),
		"PKCS1LabelledPublic":  block("PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaPublic(2048, 65537))),
		"PKIXLabelledPKCS1":    block("RSA PUBLIC KEY", must(x509.MarshalPKIXPublicKey(rsaPublic(2048, 65537)))),
		"LowerCaseLabel":       block("public key", pkixDER()),
		"NoLabel":              block("", pkixDER()),
		"MarkerAsContent":      block("PUBLIC KEY", []byte(marker)),
		"MarkerAsLabel":        block(marker, pkixDER()),
		"MarkerAsPKCS1":        block("RSA PUBLIC KEY", []byte(marker)),
		"MarkerInASN1":         block("PUBLIC KEY", der(marker)),
		"MarkerInParameters":   block("PUBLIC KEY", spki(oidEC, marker, onCurve)),
		"MarkerInUnknownCurve": block("PUBLIC KEY", spki(oidEC, oidSecp256k1, []byte(marker))),
	}
	return texts
}

func tooMuch() map[string]string {
	var many strings.Builder
	for range verify.MaxKeys + 1 {
		many.WriteString(publicBlock(ed25519Public()))
	}
	return map[string]string{
		"Empty":        "",
		"Whitespace":   " \r\n\t\n",
		"33Keys":       many.String(),
		"Over64KiB":    good() + strings.Repeat("\n", 64<<10),
		"Over64KiBPEM": block("PUBLIC KEY", make([]byte, 64<<10)),
		"Over64KiBAll": strings.Repeat(marker, 64<<10),
	}
}

func TestParseKeysRefuses(t *testing.T) {
	for group, texts := range map[string]map[string]string{
		"Private": privateKeys(), "Damaged": damaged(), "Unsupported": unsupported(), "TooMuch": tooMuch(),
	} {
		for name, text := range texts {
			t.Run(group+"/"+name, func(t *testing.T) {
				keys, err := verify.ParseKeys([]byte(text))
				if err == nil {
					t.Fatalf("expected an error, found %d keys", len(keys))
				}
				if len(keys) != 0 {
					t.Errorf("expected no keys beside the error %v, found %d", err, len(keys))
				}
				if len(err.Error()) > 300 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				repeatsNothing(t, text, err)
				// A good key in front of it or behind it does not help.
				if strings.TrimSpace(text) == "" {
					return
				}
				for _, around := range []string{good() + text, text + "\n" + good()} {
					if keys, err := verify.ParseKeys([]byte(around)); err == nil {
						t.Errorf("beside a good key: expected an error, found %d keys", len(keys))
					}
				}
			})
		}
	}
}

// repeatsNothing fails the test if the error has eight characters in a row
// from the text, from what a PEM block in it decodes to, or from the marker in
// base64. The lines that begin and end a block of a well known type are free.
func repeatsNothing(t *testing.T, text string, err error) {
	t.Helper()
	contents := []string{marker, base64.StdEncoding.EncodeToString([]byte(marker))}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "-----") || strings.Contains(line, marker) {
			contents = append(contents, strings.Trim(strings.TrimSpace(line), "-"))
		}
	}
	if b, _ := pem.Decode([]byte(text)); b != nil {
		contents = append(contents, string(b.Bytes))
	}
	found := strings.ReplaceAll(err.Error(), "-----BEGIN PUBLIC KEY-----", "")
	const window = 8
	for _, content := range contents {
		for i := 0; i+window <= len(content); i++ {
			if part := content[i : i+window]; strings.Contains(found, part) {
				t.Fatalf("the error repeats %q: %v", part, err)
			}
		}
	}
}

// A bound is no use if it is off by one.
func TestParseKeysBoundsAreExact(t *testing.T) {
	text := good()
	text += strings.Repeat("\n", 64<<10-len(text))
	if _, err := verify.ParseKeys([]byte(text)); err != nil {
		t.Errorf("64 KiB: %v", err)
	}
	if _, err := verify.ParseKeys([]byte(text + "\n")); err == nil {
		t.Error("64 KiB and a byte: no error")
	}
}

func TestParseKeysNamesThePosition(t *testing.T) {
	_, err := verify.ParseKeys([]byte(good() + other() + publicBlock(rsaPublic(1024, 65537))))
	if err == nil || !strings.Contains(err.Error(), "PEM block 3") {
		t.Errorf("expected an error about PEM block 3, found %v", err)
	}
}
