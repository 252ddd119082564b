"""An encoder trained to fool a frozen attacker."""
