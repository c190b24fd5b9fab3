"""What a person looks at: tables, progress, profiles, traces, and reports."""
