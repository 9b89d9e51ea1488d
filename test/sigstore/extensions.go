package sigstore

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// The arcs below 1.3.6.1.4.1.57264.1 that carry the issuer: the first one its
// bytes, the second one a UTF8String in DER.
// https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
const (
	issuerV1 = 1
	issuerV2 = 8
)

// extensionArcs are the other arcs, by the names in Identity.Extensions.
var extensionArcs = map[string]int{
	"githubWorkflowTrigger":               2,
	"githubWorkflowSHA":                   3,
	"githubWorkflowName":                  4,
	"githubWorkflowRepository":            5,
	"githubWorkflowRef":                   6,
	"buildSignerURI":                      9,
	"buildSignerDigest":                   10,
	"runnerEnvironment":                   11,
	"sourceRepositoryURI":                 12,
	"sourceRepositoryDigest":              13,
	"sourceRepositoryRef":                 14,
	"sourceRepositoryIdentifier":          15,
	"sourceRepositoryOwnerURI":            16,
	"sourceRepositoryOwnerIdentifier":     17,
	"buildConfigURI":                      18,
	"buildConfigDigest":                   19,
	"buildTrigger":                        20,
	"runInvocationURI":                    21,
	"sourceRepositoryVisibilityAtSigning": 22,
	"deploymentEnvironment":               23,
	"tokenSubject":                        24,
}

// ExtensionOID is the OID of Fulcio's extension number arc.
func ExtensionOID(arc int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, arc}
}

// ExtensionNames lists the names for Identity.Extensions, sorted.
func ExtensionNames() []string {
	var names []string
	for name := range extensionArcs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// claims encodes the identity's issuer and extensions, in the order of their
// numbers.
func (i Identity) claims(v1, v2 string) ([]pkix.Extension, error) {
	values := map[int]string{}
	for name, value := range i.Extensions {
		arc, ok := extensionArcs[name]
		if !ok {
			return nil, fmt.Errorf("unknown extension %q", name)
		}
		values[arc] = value
	}
	if v1 != "" {
		values[issuerV1] = v1
	}
	if v2 != "" {
		values[issuerV2] = v2
	}
	var arcs []int
	for arc := range values {
		arcs = append(arcs, arc)
	}
	slices.Sort(arcs)
	var all []pkix.Extension
	for _, arc := range arcs {
		encoded, err := encodeClaim(arc, values[arc])
		if err != nil {
			return nil, fmt.Errorf("encoding extension %d: %w", arc, err)
		}
		all = append(all, pkix.Extension{Id: ExtensionOID(arc), Value: encoded})
	}
	return all, nil
}

// encodeClaim encodes a claim: up to number 6 as its bytes, later ones as a
// UTF8String in DER.
func encodeClaim(arc int, value string) ([]byte, error) {
	if arc < issuerV2 {
		return []byte(value), nil
	}
	return asn1.MarshalWithParams(value, "utf8")
}

// The tags of RFC 5280's GeneralName.
const (
	tagEmail = 1
	tagURI   = 6
)

// alternativeNames is the extension with the subjects.
//
// RFC 5280 4.1.2.6: "If subject naming information is present only in the
// subjectAltName extension […], then the subject name MUST be an empty sequence
// and the subjectAltName extension MUST be critical."
func alternativeNames(subjects []string) (pkix.Extension, error) {
	var names []asn1.RawValue
	for _, subject := range subjects {
		name, err := generalName(subject)
		if err != nil {
			return pkix.Extension{}, fmt.Errorf("encoding the subject %q: %w", subject, err)
		}
		names = append(names, name)
	}
	value, err := asn1.Marshal(names)
	if err != nil {
		return pkix.Extension{}, fmt.Errorf("encoding the subjects: %w", err)
	}
	return pkix.Extension{Id: cryptoutils.SANOID, Critical: true, Value: value}, nil
}

func generalName(subject string) (asn1.RawValue, error) {
	switch {
	case strings.Contains(subject, "://"):
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagURI, Bytes: []byte(subject)}, nil
	case strings.Contains(subject, "@"):
		return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tagEmail, Bytes: []byte(subject)}, nil
	default:
		other := cryptoutils.OtherName{ID: cryptoutils.OIDOtherName, Value: subject}
		der, err := asn1.MarshalWithParams(other, "tag:0")
		return asn1.RawValue{FullBytes: der}, err
	}
}
