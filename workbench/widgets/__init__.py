"""The widgets: what a person in JupyterLab, Notebook or Voilà touches."""
