"""Running a whole discovery: what is asked, the folder, the model, the method, the evaluation."""
