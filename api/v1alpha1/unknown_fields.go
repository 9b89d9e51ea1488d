package v1alpha1

import (
	"errors"

	"sigs.k8s.io/json"
)

// The API server drops fields that it does not know, unless its client asks it
// to refuse them. What narrows trust must not be lost like that, so the types
// below keep unknown fields, and say which there were.

// UnmarshalJSON reads an authority, and notes the fields that it does not know.
func (a *Authority) UnmarshalJSON(data []byte) (err error) {
	type plain Authority
	a.UnknownFields, err = unknownFields(data, (*plain)(a))
	return err
}

// UnmarshalJSON reads an identity, and notes the fields that it does not know.
func (i *Identity) UnmarshalJSON(data []byte) (err error) {
	type plain Identity
	i.UnknownFields, err = unknownFields(data, (*plain)(i))
	return err
}

// unknownFields reads data into a value, and returns the fields that it has no
// place for.
func unknownFields(data []byte, into any) ([]string, error) {
	strict, err := json.UnmarshalStrict(data, into, json.DisallowUnknownFields)
	if err != nil {
		return nil, err
	}
	var unknown []string
	for _, problem := range strict {
		var field json.FieldError
		if errors.As(problem, &field) {
			unknown = append(unknown, field.FieldPath())
		}
	}
	return unknown, nil
}
