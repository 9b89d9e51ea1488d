package monitoring

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Result is one series of an answer.
type Result struct {
	Labels  map[string]string
	Samples []Sample
}

// Sample is a value at a time.
type Sample struct {
	Time  float64
	Value float64
}

// UnmarshalJSON reads Prometheus' pair of a number and a string.
func (s *Sample) UnmarshalJSON(text []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("expected a time and a value, found %s", text)
	}
	var value string
	if err := json.Unmarshal(pair[1], &value); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[0], &s.Time); err != nil {
		return err
	}
	var err error
	s.Value, err = strconv.ParseFloat(value, 64)
	return err
}
