"""What reading AWS needs beside the collectors themselves."""
