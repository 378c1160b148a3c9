"""How often the gate `max_loss` errs, by simulation on real differences."""
