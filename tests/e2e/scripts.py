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

SLOW = f"""
  - name: slow
    when: {{ regex: '^speak slowly' }}
    replies:
      - say: {" ".join(f"word{number}" for number in range(40))}
        delta_delay_s: 0.1
"""
"""`speak slowly` is answered word by word, for four seconds. Comes after `RUN`."""

WAIT = r"""
  - name: wait
    when: { regex: '^wait for ' }
    replies:
      - say: I wait.
        use:
          - tool: Bash
            input:
              command: >-
                mark="$(printf '%s' {{user_text|sh}} | sed 's/^wait for //')"; touch "at-$mark";
                until [ -e "$mark" ]; do sleep 0.1; done; echo went
              timeout: 600000
              description: Wait for a file
      - say: "done: {{last_tool_result}}"
"""
"""`wait for FILE` makes `at-FILE`, and waits for the file: for ten minutes, where the CLI gives a
tool two by itself. Comes after `RUN`."""

STEADY = (
    """
  - name: steady
    when: { regex: '^work on' }
    replies:
"""
    + 50
    * """
      - say: A step.
        use: [{tool: Bash, input: {command: 'echo step >> steps; sleep 1', description: A step}}]
"""
    + "      - say: all steps done\n"
)
"""`work on` calls the model every second or so, fifty times. Comes after `RUN`."""
