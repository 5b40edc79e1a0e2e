-- Events of what the background deletes tell the status of the request's answer, as those do that it wrote itself.
ALTER TABLE deletions ADD COLUMN status bytewise_text;
UPDATE deletions SET status = CASE method WHEN 'post' THEN '201' ELSE '204' END WHERE method IS NOT NULL;
