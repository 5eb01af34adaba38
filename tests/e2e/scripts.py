"""Rehearsal scripts that several tests use."""

RUN = r"""
scenes:
  - name: run
    when: { regex: '(?m)^run: ' }
    replies:
      - say: I run it.
        use:
          - tool: Bash
            input:
              command: >-
                unset -f find grep;
                eval "$(printf '%s' {{user_text|sh}} | sed -n '/^run: /,$p' | sed 's/^run: //')"
              description: Run the command
      - say: "done: {{last_tool_result}}"
  - name: anything
    replies:
      - say: "You said: {{user_text}}"
"""
"""`run: COMMAND` runs the command in the container; anything else is repeated.

With the system's own tools: the CLI puts a `find` and a `grep` of its own before them, and that
`find` fails under runsc, so that who looks for something would find nothing.

After a model call that failed, the CLI puts the unanswered message before the next one: then both
commands run.
"""
