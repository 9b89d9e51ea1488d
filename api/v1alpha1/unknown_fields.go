package v1alpha1

import (
	"errors"

	"sigs.k8s.io/json"
)

// The API server drops fields that it does not know, before any rule can see
// them, unless its client asks it to refuse them. What says whom to trust must
// not be lost like that: everything below spec.verify keeps unknown fields, and
// Verify says which there were.

// UnmarshalJSON reads a policy, and notes the fields that it does not know.
func (v *Verify) UnmarshalJSON(data []byte) error {
	type plain Verify
	strict, err := json.UnmarshalStrict(data, (*plain)(v), json.DisallowUnknownFields)
	if err != nil {
		return err
	}
	v.UnknownFields = nil
	for _, problem := range strict {
		var field json.FieldError
		if errors.As(problem, &field) {
			v.UnknownFields = append(v.UnknownFields, field.FieldPath())
		}
	}
	return nil
}
