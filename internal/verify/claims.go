package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// maxClaimLength bounds what a certificate may say, in bytes: it goes to status.
const maxClaimLength = 1024

// extensionKind is an extension of Fulcio's certificates that a policy can ask
// for. https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
type extensionKind struct {
	name string
	// arc is the last number of its object identifier, below fulcioArc.
	arc int
	// raw says that the value stands as it is, as in the oldest extensions;
	// the others are DER encoded UTF8Strings.
	raw bool
}

var extensionKinds = []extensionKind{
	{"githubWorkflowTrigger", 2, true},
	{"githubWorkflowSHA", 3, true},
	{"githubWorkflowName", 4, true},
	{"githubWorkflowRepository", 5, true},
	{"githubWorkflowRef", 6, true},
	{"buildSignerURI", 9, false},
	{"buildSignerDigest", 10, false},
	{"runnerEnvironment", 11, false},
	{"sourceRepositoryURI", 12, false},
	{"sourceRepositoryDigest", 13, false},
	{"sourceRepositoryRef", 14, false},
	{"sourceRepositoryIdentifier", 15, false},
	{"sourceRepositoryOwnerURI", 16, false},
	{"sourceRepositoryOwnerIdentifier", 17, false},
	{"buildConfigURI", 18, false},
	{"buildConfigDigest", 19, false},
	{"buildTrigger", 20, false},
	{"runInvocationURI", 21, false},
	{"sourceRepositoryVisibilityAtSigning", 22, false},
	{"deploymentEnvironment", 23, false},
	{"tokenSubject", 24, false},
}

// The issuer stands in two extensions, the older one raw.
const (
	arcIssuer   = 1
	arcIssuerV2 = 8
)

var (
	fulcioArc             = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}
	subjectAlternativeOID = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// ExtensionNames are the names of the extensions that an identity can ask for.
func ExtensionNames() []string {
	names := make([]string, 0, len(extensionKinds))
	for _, k := range extensionKinds {
		names = append(names, k.name)
	}
	return names
}

func extensionOf(name string) *extensionKind {
	for i := range extensionKinds {
		if extensionKinds[i].name == name {
			return &extensionKinds[i]
		}
	}
	return nil
}

// claims are what a certificate says of its signer. They mean something only
// once the certificate has verified.
type claims struct {
	issuer, subject string
	extensions      []Extension // in the order of extensionKinds
}

func (c claims) extension(name string) (string, bool) {
	for _, e := range c.extensions {
		if e.Name == name {
			return e.Value, true
		}
	}
	return "", false
}

// Claims are what a certificate says of its signer. They mean nothing: nothing
// of the certificate has verified.
type Claims struct {
	// Issuer is the OpenID Connect issuer, Subject the subject alternative name;
	// each at most 1024 bytes.
	Issuer, Subject string
	// Extensions are in the order of [ExtensionNames].
	Extensions []Extension
}

// ReadClaims reads a certificate. The error says what no identity can match.
func ReadClaims(certificate *x509.Certificate) (Claims, error) {
	c, err := readClaims(certificate)
	if err != nil {
		return Claims{}, err
	}
	return Claims{Issuer: c.issuer, Subject: c.subject, Extensions: c.extensions}, nil
}

// readClaims reads a certificate. One that names other than exactly one
// subject, or two issuers, is an error: which of them signed?
func readClaims(certificate *x509.Certificate) (claims, error) {
	subject, err := subjectOf(certificate)
	if err != nil {
		return claims{}, err
	}
	issuer, err := issuerOf(certificate)
	if err != nil {
		return claims{}, err
	}
	if len(issuer) > maxClaimLength || len(subject) > maxClaimLength {
		return claims{}, fmt.Errorf("its issuer or subject is longer than %d bytes", maxClaimLength)
	}
	c := claims{issuer: issuer, subject: subject}
	for _, k := range extensionKinds {
		value, found, err := fulcioExtension(certificate, k.arc, k.raw)
		if err != nil {
			return claims{}, fmt.Errorf("its extension %s is malformed", k.name)
		}
		if len(value) > maxClaimLength {
			return claims{}, fmt.Errorf("its extension %s is longer than %d bytes", k.name, maxClaimLength)
		}
		if found {
			c.extensions = append(c.extensions, Extension{Name: k.name, Value: value})
		}
	}
	return c, nil
}

func issuerOf(certificate *x509.Certificate) (string, error) {
	older, hasOlder, err := fulcioExtension(certificate, arcIssuer, true)
	if err != nil {
		return "", fmt.Errorf("its issuer is malformed")
	}
	newer, hasNewer, err := fulcioExtension(certificate, arcIssuerV2, false)
	if err != nil {
		return "", fmt.Errorf("its issuer is malformed")
	}
	switch {
	case hasOlder && hasNewer && older != newer:
		return "", fmt.Errorf("it names two issuers")
	case newer != "":
		return newer, nil
	case older != "":
		return older, nil
	default:
		return "", fmt.Errorf("it names no issuer")
	}
}

// fulcioExtension returns the value of an extension below fulcioArc.
func fulcioExtension(certificate *x509.Certificate, arc int, raw bool) (value string, found bool, err error) {
	id := append(slices.Clone(fulcioArc), arc)
	for _, e := range certificate.Extensions {
		if !e.Id.Equal(id) {
			continue
		}
		value = string(e.Value)
		if !raw {
			if rest, err := asn1.Unmarshal(e.Value, &value); err != nil || len(rest) > 0 {
				return "", true, fmt.Errorf("it is not a DER encoded string")
			}
		}
		if !utf8.ValidString(value) {
			return "", true, fmt.Errorf("it is not UTF-8")
		}
		return value, true, nil
	}
	return "", false, nil
}

// subjectOf returns the only subject alternative name.
func subjectOf(certificate *x509.Certificate) (string, error) {
	n, err := countSubjects(certificate)
	if err != nil {
		return "", err
	}
	if n != 1 {
		return "", fmt.Errorf("it has %s, not 1", countOf(n, "subject alternative name"))
	}
	var subject string
	switch {
	case len(certificate.URIs) == 1:
		subject = certificate.URIs[0].String()
	case len(certificate.EmailAddresses) == 1:
		subject = certificate.EmailAddresses[0]
	case len(certificate.DNSNames) == 1, len(certificate.IPAddresses) == 1:
		return "", fmt.Errorf("its subject alternative name is a host")
	default:
		subject, err = cryptoutils.UnmarshalOtherNameSAN(certificate.Extensions)
	}
	if err != nil || subject == "" {
		return "", fmt.Errorf("its subject alternative name is of a kind that Fulcio does not use")
	}
	return subject, nil
}

// countSubjects counts the subject alternative names of every kind, those too
// that the standard library passes over.
//
//	SubjectAltName ::= GeneralNames
//	GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName
//
// RFC 5280, section 4.2.1.6.
func countSubjects(certificate *x509.Certificate) (int, error) {
	n := 0
	for _, e := range certificate.Extensions {
		if !e.Id.Equal(subjectAlternativeOID) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return 0, fmt.Errorf("its subject alternative name is malformed")
		}
		n += len(names)
	}
	return n, nil
}

// withoutSubjectUnhandled takes the subject alternative name off the list of
// critical extensions that the standard library did not understand: it is so
// where the name is an otherName, which subjectOf reads. Others stay there, and
// fail the verification of the chain.
func withoutSubjectUnhandled(certificate *x509.Certificate) {
	certificate.UnhandledCriticalExtensions = slices.DeleteFunc(certificate.UnhandledCriticalExtensions, subjectAlternativeOID.Equal)
}

// fingerprintOf is that of a certificate's key, as of a key of a policy; "" for
// one that no policy can name.
func fingerprintOf(certificate *x509.Certificate) string {
	der, err := x509.MarshalPKIXPublicKey(certificate.PublicKey)
	if err != nil {
		return ""
	}
	return fingerprint(der)
}
