package manifests

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/operation"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/assay-dev/assay/api/v1alpha1"
	"github.com/assay-dev/assay/config/crd"
)

// APIServer answers to the creation of a ModuleSource as the API server does
// that has the generated CustomResourceDefinition: by the same functions, in the
// same order. test/api compares the two. It may be used by several goroutines.
type APIServer struct {
	structural *structuralschema.Structural
	schema     schemavalidation.SchemaValidator
	rules      *cel.Validator
}

// NewAPIServer reads the CustomResourceDefinition and compiles its rules.
func NewAPIServer() (*APIServer, error) {
	var definition apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(crd.ModuleSources, &definition); err != nil {
		return nil, fmt.Errorf("the definition of ModuleSource: %w", err)
	}
	for _, version := range definition.Spec.Versions {
		if version.Name == v1alpha1.GroupVersion.Version {
			return newAPIServer(version.Schema.OpenAPIV3Schema)
		}
	}
	return nil, fmt.Errorf("the definition of ModuleSource: expected the version %s, found none", v1alpha1.GroupVersion.Version)
}

func newAPIServer(written *apiextensionsv1.JSONSchemaProps) (*APIServer, error) {
	internal := &apiextensions.JSONSchemaProps{}
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(written, internal, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(internal)
	if err != nil {
		return nil, err
	}
	schema, _, err := schemavalidation.NewSchemaValidator(internal)
	if err != nil {
		return nil, err
	}
	return &APIServer{structural: structural, schema: schema, rules: cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// Answer is what the API server says of an object.
type Answer struct {
	// Refused is why it does not take the object, which it does where this is
	// empty.
	Refused field.ErrorList
	// Unknown are the paths of fields that it does not know. It drops them, or,
	// where its client asks for strict validation, as kubectl and Flux do,
	// refuses the object for them.
	Unknown []string
}

// Create asks whether a ModuleSource may be created, and makes of obj what would
// be stored: pruned, with defaults. Its apiVersion and kind are the caller's to
// check.
func (s *APIServer) Create(ctx context.Context, obj map[string]any) Answer {
	metadata, given, unknown, err := objectmeta.GetObjectMetaWithOptions(obj, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return Answer{Refused: field.ErrorList{field.Invalid(field.NewPath("metadata"), field.OmitValueType{}, withoutType(err))}}
	}
	options := structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	unknown = append(unknown, pruning.PruneWithOptions(obj, s.structural, true, options)...)
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, s.structural)
	if given {
		// What is malformed was an error before.
		if err := objectmeta.SetObjectMeta(obj, metadata); err != nil {
			return Answer{Unknown: unknown, Refused: field.ErrorList{field.Invalid(field.NewPath("metadata"), field.OmitValueType{}, withoutType(err))}}
		}
	}
	defaulting.Default(obj, s.structural)
	delete(obj, "status") // It has an endpoint of its own.
	return Answer{Unknown: unknown, Refused: s.validate(ctx, obj, metadata)}
}

// validate is the API server's strategy for custom resources.
func (s *APIServer) validate(ctx context.Context, obj map[string]any, metadata *metav1.ObjectMeta) field.ErrorList {
	if metadata == nil {
		metadata = &metav1.ObjectMeta{}
	}
	named := metadata.DeepCopy()
	if named.Name == "" && named.GenerateName != "" {
		named.Name = named.GenerateName + "xxxxx" // as long as what the API server adds
	}
	errs := apivalidation.ValidateObjectMetaDeclaratively(ctx, operation.Create, named, nil, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"), true)
	errs = append(errs, schemavalidation.ValidateCustomResource(nil, obj, s.schema)...)
	errs = append(errs, objectmeta.Validate(ctx, nil, obj, s.structural, false)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, obj)...)
	for _, err := range errs {
		if keepsRulesFromLooking(err.Type) {
			return errs
		}
	}
	broken, _ := s.rules.Validate(ctx, nil, s.structural, obj, nil, celconfig.RuntimeCELCostBudget)
	return append(errs, broken...)
}

// keepsRulesFromLooking says which errors leave the CEL rules unasked: they
// would be asked about values that the schema does not allow.
func keepsRulesFromLooking(kind field.ErrorType) bool {
	switch kind {
	case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	default:
		return false
	}
}

// typed reads what would be stored as the controller does.
func typed(obj map[string]any) (*v1alpha1.ModuleSource, error) {
	source := &v1alpha1.ModuleSource{}
	return source, runtime.DefaultUnstructuredConverter.FromUnstructured(obj, source)
}

// withoutType is an error of a decoder without the names of Go's types.
func withoutType(err error) string {
	text, _, _ := strings.Cut(err.Error(), " of type ")
	return strings.TrimPrefix(text, "json: ")
}
